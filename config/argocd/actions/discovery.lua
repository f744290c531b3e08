-- Which actions a SchemaMigration allows as it stands. In: obj. Out: every action, disabled unless it
-- would change something now.

local function holds(name)
  for _, one in ipairs((obj.status or {}).conditions or {}) do
    if one.type == name then
      return one.status == "True"
    end
  end
  return false
end

local status = obj.status or {}
local spec = obj.spec or {}
local word = (obj.metadata.annotations or {})["ghostship.dev/cut-over"]

-- The annotation wins over the field, and permission that was given once outlives a revert of either.
local postponed = word == "postpone"
if word ~= "postpone" and word ~= "allow" then
  local permitted = status.cutOver ~= nil and status.cutOver.permission ~= nil
  postponed = spec.postponeCutOver == true and not permitted
end

local deleted = obj.metadata.deletionTimestamp ~= nil
local succeeded = holds("Succeeded")
local failed = holds("Stalled") and status.completedAt ~= nil
local panicking = spec.panic == true or status.panicked ~= nil
local stoppable = not (deleted or succeeded or failed or panicking)
local going = stoppable and status.phase ~= "CleanUp" and spec.abort ~= true

-- What a failure or panic left half-way can be cleaned up; an abort and a refusal leave nothing.
local ending = (status.report or {}).ending or {}
local half_way = failed and status.phase ~= "Aborted" and ending.outcome ~= "Refused"
local cleanable = half_way and not deleted and spec.abort ~= true
local retryable = not deleted and (failed or status.phase == "Retrying")

local function action(enabled, name, icon)
  return {disabled = not enabled, displayName = name, iconClass = "fa fa-fw " .. icon}
end

local actions = {}
actions["pause"] = action(going and spec.paused ~= true, "Pause", "fa-pause")
actions["resume"] = action(going and spec.paused == true, "Resume", "fa-play")
actions["postpone"] = action(going and not postponed, "Postpone the cut-over", "fa-hand-paper")
actions["cut-over"] = action(going and postponed, "Allow the cut-over", "fa-exchange-alt")
actions["retry"] = action(retryable, "Retry", "fa-redo")
actions["panic"] = action(stoppable, "Panic: stop, keep everything", "fa-bomb")
actions["abort"] = action(going or cleanable, "Abort: stop, drop the copy", "fa-trash")
return actions
