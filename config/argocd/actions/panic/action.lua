-- Stops the worker within a second and keeps every table. It cannot be undone, only retried.
obj.spec.panic = true
return obj
