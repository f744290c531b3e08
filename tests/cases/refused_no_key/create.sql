SET SESSION sql_generate_invisible_primary_key = OFF;
CREATE TABLE t (
  id INT NOT NULL,
  a INT,
  KEY (id)
);
