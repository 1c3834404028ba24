"""Compares `zoo` with Keras: `python check_keras_heads.py ZOO FOLDER [NETWORK,…]`, on what `make_keras_heads.py` wrote.

For each file: the relative errors of the scores, of Keras' own scores in float32 and of the answers, and between which
values the latter lie. Ends with 1 if an answer is off by more than 1e-5, or a score by more than that and three times
what Keras' own is; if a file is refused, or if one is taken whose head is another than the network's: of several layers,
behind the largest values, behind a flattened map.
"""

import subprocess, sys, tempfile, numpy as np, json, struct, glob, os, re
Z, folder = sys.argv[1:3]
out = tempfile.mktemp('.safetensors')
M={'Xception':'xception_keras','MobileNetV2':'mobilenet_v2_keras','VGG16':'vgg16'}
def st(p):
    b=open(p,'rb').read(); n=struct.unpack('<Q',b[:8])[0]; h=json.loads(b[8:8+n]); 
    k=[k for k in h if k!='__metadata__'][0]; o=h[k]['data_offsets']; return np.frombuffer(b[8+n+o[0]:8+n+o[1]],'<f4').reshape(h[k]['shape'])
def softmax(x): e=np.exp(x-x.max(1,keepdims=True)); return e/e.sum(1,keepdims=True)
def rel(x,y): return np.abs(x-y).max()/np.abs(y).max()
bad=False
env=dict(os.environ,NO_COLOR='1')
for f in sorted(glob.glob(f'{folder}/*')):
  m=re.match(r'.*/(\w+)-(\w+)\.(keras|h5|weights\.h5)$',f)
  if not m or (len(sys.argv)>3 and m[1] not in sys.argv[3].split(',')): continue
  b=f'{folder}/{m[1]}-{m[2]}'
  if m[2] in ('deep','most','flattened'):
    r=subprocess.run([Z,'convert',f,out,'--model',M[m[1]]],capture_output=True,text=True,env=env)
    # Weights alone don't tell what the head is behind: that is said.
    told=m[2]=='most' and m[3]=='weights.h5'
    good='behind the mean' in r.stdout+r.stderr if told else r.returncode==1
    bad|=not good; print(os.path.basename(f),'as it should be' if good else 'WRONG',(r.stderr or r.stdout).strip()[:400])
    continue
  r=subprocess.run([Z,'features',M[m[1]],b+'-x.npy','--weights',f,'--at','logits','-o',out],capture_output=True,text=True,env=env)
  if r.returncode:
    print(os.path.basename(f),'REFUSED',r.stderr.strip()[:400]); bad=True
    continue
  y=np.load(b+'-y.npy'); s=np.load(b+'-z.npy'); z=st(out).astype('f8'); off=rel(z,s)
  z={'flat':softmax,'nested':softmax,'seq':lambda x:x,'binary':lambda x:1/(1+np.exp(-x)),'many':softmax,'tuned':softmax}.get(m[2],lambda x:x)(z)
  # Of one or two scores most is lost where their parts cancel, here as in Keras.
  own=rel(np.load(b+'-own.npy'),s); wrong=rel(z,y)>1e-5 or off>max(1e-5,3*own); bad|=wrong
  print(os.path.basename(f),'WRONG' if wrong else '',f'scores {off:.1e} (Keras {own:.1e})',f'answers {rel(z,y):.1e} ({y.min():.2f} to {y.max():.2f})',r.stderr.strip()[:200])
sys.exit(int(bad))
