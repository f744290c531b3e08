SET SESSION time_zone = '+05:30';
