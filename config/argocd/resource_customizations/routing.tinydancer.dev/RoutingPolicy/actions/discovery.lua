-- Which actions make sense in the state the policy is in. One that was asked for already is not offered again.

local prefix = "routing.tinydancer.dev/"
local annotations = obj.metadata.annotations or {}
local status = obj.status or {}
local rollout = status.rollout or {}
local state = rollout.state

local function asked(command, value)
  return annotations[prefix .. command] == value
end

local function one_of(states)
  for _, name in ipairs(states) do
    if state == name then
      return true
    end
  end
  return false
end

local quarantined = false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" and condition.reason == "Quarantined" then
    quarantined = true
  end
end
local rolled_back = state == "RolledBack" and rollout.model.name == obj.spec.model.name

local attempt = nil
local token = nil
if rollout.attempt ~= nil then
  attempt = tostring(rollout.attempt)
  token = "epoch-" .. rollout.epoch
end
local aborted = asked("abort", attempt)
local paused = obj.spec.paused == true

local on_trial = one_of({ "Staging", "Shadow", "Canary", "Paused", "Promoting" })
local can_abort = (on_trial or rollout.watch ~= nil) and not aborted
local can_promote = one_of({ "Shadow", "Canary", "Paused" }) and not aborted and not asked("promote", attempt)
local can_approve = rollout.approval ~= nil and not aborted and not asked("approve", rollout.approval)
local can_retry = rollout.attempt ~= nil and (quarantined or rolled_back) and not asked("retry", token)

return {
  abort = { disabled = not can_abort, displayName = "Abort: roll the model back" },
  approve = { disabled = not can_approve, displayName = "Approve the next step" },
  pause = { disabled = paused, displayName = "Pause growth" },
  promote = { disabled = not can_promote, displayName = "Promote now, skip the evidence" },
  resume = { disabled = not paused, displayName = "Resume growth" },
  retry = { disabled = not can_retry, displayName = "Try the model again" },
}
