CREATE TABLE `ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé表` (id INT NOT NULL AUTO_INCREMENT, v INT, PRIMARY KEY (id));
