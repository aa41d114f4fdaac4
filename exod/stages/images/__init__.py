"""Images and videos of one run: of what an archive holds, or searched for the purpose.

* onerun: event lists -> one run, searched
* field: tables of a run -> images on the sky, regions of DS9 and a picture
* detector: event lists -> images of the CCDs
* imaging: what is wanted of an observation -> the files of it
* video: the cube of a run -> a moving picture
"""
