-- Goes on after a pause.
obj.spec.paused = false
return obj
