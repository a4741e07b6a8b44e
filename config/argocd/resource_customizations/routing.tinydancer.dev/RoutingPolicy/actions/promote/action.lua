-- Skips the evidence of the trial that is under way; the annotation names the attempt, so that it cannot promote a
-- later one.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["routing.tinydancer.dev/promote"] = tostring(obj.status.rollout.attempt)
return obj
