-- Allows a postponed cut-over. An annotation, so that Git keeps spec.postponeCutOver.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["ghostship.dev/cut-over"] = "allow"
return obj
