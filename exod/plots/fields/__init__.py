"""Pictures of whole fields: sheets of images, CCDs, the cube in three dimensions, and in motion."""
