-- Health of a SchemaMigration (ghostship.dev). In: obj. Out: Progressing while it works by itself,
-- Suspended while it waits for a human or the hour, Healthy when the table has its new definition, Degraded when
-- the migration has ended badly. The conditions follow kstatus; needs no library.

local function condition(status, name)
  for _, one in ipairs(status.conditions or {}) do
    if one.type == name then
      return one
    end
  end
  return {}
end

local function health(state, message)
  return {status = state, message = message}
end

-- Reasons of Ready with which nothing goes on until somebody acts or a window opens.
local is_held = {
  AwaitingApproval = true,
  CutOverPostponed = true,
  OutsideWindow = true,
  Paused = true,
}

local status = obj.status or {}
local ready = condition(status, "Ready")
local message = ready.message or status.message or ""
if status.phase ~= nil then
  message = status.phase .. ": " .. message
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "Deleting: " .. message)
end
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "Waiting for the controller to look at it")
end
if condition(status, "Reconciling").status == "True" then
  if is_held[ready.reason] then
    return health("Suspended", message)
  end
  return health("Progressing", message)
end
if condition(status, "Stalled").status == "True" then
  return health("Degraded", message)
end
if ready.status == "True" then
  return health("Healthy", message)
end
return health("Progressing", message)
