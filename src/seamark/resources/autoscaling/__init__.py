"""autoscaling/v1 and v2: HorizontalPodAutoscaler, one file for the kind and one for the way between its versions."""
