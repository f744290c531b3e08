-- Stops the worker and drops what the migration created, or what panic or a failure left; the table stays
-- as it is. Panic that has done its work is taken back, or it would win.
obj.spec.abort = true
if obj.spec.panic == true and (obj.status or {}).panicked ~= nil then
  obj.spec.panic = false
end
return obj
