"""Pictures of whole fields: rates of an observation, images, CCDs, the cube still and in motion."""
