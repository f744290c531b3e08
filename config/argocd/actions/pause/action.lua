-- Holds copying and verification between chunks; following the binlog goes on.
obj.spec.paused = true
return obj
