-- The health of a RouterModel is that of its artifact: it can be used, it is being fetched, or it cannot be used.
-- What policies make of it is told in the message alone, because Argo CD waits with a sync until everything in an
-- earlier wave is Healthy: a model that were Progressing on trial, or Degraded after it, would keep the commit that
-- reverts it from ever reaching the policy. The policy's own health speaks of the trial.
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

-- "policy support: Canary, step 2/3, weight 25 %, verdict Pass"
local function in_policy(status)
  local text = "policy " .. status.policy .. ": " .. status.state
  if status.step ~= nil then
    text = text .. ", step " .. status.step
  end
  text = text .. ", weight " .. status.weightPercent .. " %"
  if status.verdict ~= nil then
    text = text .. ", verdict " .. status.verdict
  end
  return text
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "the model is being deleted")
end
if obj.status == nil or (obj.status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return health("Progressing", "the operator has not seen this spec yet")
end

local verified = condition("Verified")
if verified.status == "False" then
  return health("Degraded", verified.reason .. ": " .. verified.message)
end
if verified.status ~= "True" then
  return health("Progressing", verified.message)
end
if obj.status.policy ~= nil then
  return health("Healthy", in_policy(obj.status))
end
return health("Healthy", condition("Ready").message)
