UPDATE Orders_2024 SET a = {int:1..99} WHERE id = {int:1..3000};
