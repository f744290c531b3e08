  /* why */ add   column
	w1 int null, -- first
  add column w2 varchar(10) null default 'a,b(' # second
