"""Pictures of whole observations and fields: rates, sheets of images, CCDs, the cube in three dimensions, and in motion."""
