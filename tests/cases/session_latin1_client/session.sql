SET NAMES latin1;
