"""The binder: claims and volumes find each other, and part when the claim is gone."""
