-- The health of a RoutingPolicy: what the trial of the model it names has come to, and whether its routers serve.
-- Uses the base library alone: scripts in argocd-cm get no other unless an administrator opens them.

local function health(status, message)
  return { status = status, message = message }
end

local function condition(type)
  for _, found in ipairs(obj.status.conditions or {}) do
    if found.type == type then
      return found
    end
  end
  return { status = "Unknown", reason = "", message = "the operator has not set the condition " .. type .. " yet" }
end

-- "step 2/3, weight 25 %, verdict Pass"
local function place(rollout)
  local text = "weight " .. rollout.weightPercent .. " %"
  if rollout.step ~= nil then
    text = "step " .. rollout.step .. ", " .. text
  end
  if rollout.verdict ~= nil then
    text = text .. ", verdict " .. rollout.verdict
  end
  return text
end

local on_trial = {
  Staging = true,
  Shadow = true,
  Canary = true,
  Promoting = true,
  RollingBack = true,
  Superseded = true,
}

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "the policy is being deleted")
end
if obj.status == nil or (obj.status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return health("Progressing", "the operator has not seen this spec yet")
end

-- Somebody has to act; this includes a spec that names a quarantined model.
local stalled = condition("Stalled")
if stalled.status == "True" then
  return health("Degraded", stalled.reason .. ": " .. stalled.message)
end

-- A model whose RouterModel is gone while it serves goes on serving: told, and no reason to stop anything.
local remark = ""
local resolved = condition("ModelResolved")
if resolved.status == "False" then
  remark = "; " .. resolved.reason .. ": " .. resolved.message
end

local rollout = obj.status.rollout
if rollout ~= nil then
  local why = rollout.reason .. ": " .. (rollout.message or rollout.model.name)
  if rollout.state == "Paused" then
    return health("Suspended", why .. " (" .. place(rollout) .. ")" .. remark)
  end
  if rollout.state == "RolledBack" and rollout.model.name == obj.spec.model.name then
    return health("Degraded", why .. remark)
  end
  if on_trial[rollout.state] then
    return health("Progressing", rollout.model.name .. " is in " .. rollout.state .. ": " .. place(rollout) .. remark)
  end
end

local fleet = condition("FleetAvailable")
if fleet.status ~= "True" then
  return health("Progressing", fleet.message)
end
local reconciling = condition("Reconciling")
if reconciling.status ~= "False" then
  return health("Progressing", reconciling.message)
end
local ready = condition("Ready")
if ready.status ~= "True" then
  return health("Progressing", ready.message)
end
if rollout ~= nil and rollout.watch ~= nil then
  remark = "; watched, " .. rollout.watch.previous.name .. " stays armed" .. remark
end
return health("Healthy", ready.message .. remark)
