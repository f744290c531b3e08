-- Asks for another attempt after a failure, an abort or a panic: the annotation gets a value that it
-- did not have. What ended the last attempt is taken back, or the next one would end at once.
local os = require("os")
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["ghostship.dev/retry"] = os.date("!%Y-%m-%dT%XZ")
for _, field in ipairs({"panic", "abort"}) do
  if obj.spec[field] == true then
    obj.spec[field] = false
  end
end
return obj
