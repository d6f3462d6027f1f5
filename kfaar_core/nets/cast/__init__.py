"""The paper's own cast: the published networks that the preset `paper` loads, one file each.

| file | network | letter of the paper |
|---|---|---|
| facenet.py | FaceNet, InceptionResnetV1 on VGGFace2 | E, and R in training |
| stylegan2.py | StyleGAN2 on FFHQ | M and G |
| facevid2vid.py, liveportrait.py | FaceVid2Vid, and LivePortrait as its modern option | G_f |
| arcface.py, sphereface.py | ArcFace, SphereFace | R of the tables |
| fid_inception.py | Inception of the Frechet inception distance | Table V |

MTCNN is the detector of every preset (stages.locate). Every class has `from_published(state)`: it takes the tensors of
the published file as the weight registry reads it, refuses every other set of names or shapes, and returns a frozen
float32 network in evaluation mode on the CPU. Pictures are RGB in [-1, 1] for all of them. What a network was
trained with besides (other ranges, BGR) is done inside.
"""
