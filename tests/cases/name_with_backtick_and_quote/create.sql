CREATE TABLE `we``ird 'ta;bl.e/%s` (id INT NOT NULL AUTO_INCREMENT, v INT, PRIMARY KEY (id));
