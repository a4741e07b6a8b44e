-- Rolls the model on trial back, or in the watch after its promotion, and quarantines it; the annotation names the
-- attempt, so that it cannot end a later one.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["routing.tinydancer.dev/abort"] = tostring(obj.status.rollout.attempt)
return obj
