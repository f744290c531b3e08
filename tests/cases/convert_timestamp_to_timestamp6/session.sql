SET SESSION time_zone = '+02:00';
