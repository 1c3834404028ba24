"""Writes what transfer learning leaves, with the Keras that runs this: `python make_keras_heads.py FOLDER [NETWORK,…]`.

Bases of Xception, MobileNetV2 and VGG16 with random weights, flat and nested in functional and sequential models, with
heads under Keras' own names, as .keras, .h5 and .weights.h5, and for each an input, Keras' own output and what its
activation is applied to, computed by Keras in float64: in float32 it is off by 1e-5 itself. The last layer is scaled so that these scores spread over about one: a softmax or a sigmoid
that says 0 or 1 would hide what went wrong before it.
Of heads that are none of the networks' own only the files are written. `check_keras_heads.py` compares. Run by hand with keras 3.0.5, 3.3.3, 3.6.0, 3.10.0 and 3.15.1 (jax backend 0.10.2).
"""

import os, sys
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"
import keras, numpy as np
from keras import layers
out = sys.argv[1]; os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)
def fill(net):
    ws = []
    for v in net.weights:
        s = v.shape; n = v.path.split('/')[-1] if hasattr(v,'path') else v.name
        if n in ('kernel','depthwise_kernel','pointwise_kernel'):
            fan = np.prod(s[:-1]) if n!='depthwise_kernel' else s[0]*s[1]
            w = rng.normal(size=s)*np.sqrt(2/fan)
        elif 'variance' in n or 'gamma' in n: w = rng.uniform(.5,1.5,size=s)
        else: w = rng.normal(size=s)*.1
        # Few values on the flat sides of their activations: else noise grows from layer to layer, Keras' own too.
        if n=='beta' and 'project_BN' not in v.path: w = w+1.5
        ws.append(w.astype('float32'))
    net.set_weights(ws)
def pictures(n):
    """Patches of colour, -1 to 1: of noise alone nothing but its mean would be left behind many layers."""
    x = rng.uniform(-.8,.8,size=(n,4,4,3)).repeat(-(-s//4),1).repeat(-(-s//4),2)[:,:s,:s]
    return (x + rng.uniform(-.2,.2,size=x.shape)).astype('float32')
def precisely(dtype):
    keras.config.set_floatx(dtype); keras.config.set_dtype_policy(dtype)
def settle(net):
    """Statistics of pictures like those that are answered, so that these still differ behind the last layer."""
    x = pictures(16)
    body = next((layer for layer in net.layers if isinstance(layer, keras.Model)), net)
    norms = [layer for layer in body.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in norms: layer.momentum, layer.kept = 0, layer.momentum
    body(x, training=True)
    for layer in norms: layer.momentum = layer.kept
def scores(net, x):
    """What the last layer's activation is applied to."""
    last = net.layers[-1]; kept, last.activation = last.activation, keras.activations.linear
    z = np.asarray(net(x, training=False)); last.activation = kept
    return z
def spread(net, x):
    kernel, bias = net.layers[-1].get_weights()
    z = scores(net, x) - bias
    net.layers[-1].set_weights([kernel/(z.std() if z.size > 2 else np.abs(z).max()), bias])
def save(net, t):
    for ext, to in {'.keras': net.save, '.h5': net.save, '.weights.h5': net.save_weights}.items():
        try: to(t+ext)
        except Exception as e: print(t+ext, 'FAILED', repr(e)[:200]); os.path.exists(t+ext) and os.remove(t+ext)
def head(x, n, act, default):
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(n, activation=act)(x) if default else layers.Dense(n, activation=act, name='predictions')(x)
side = {'Xception':75,'MobileNetV2':96,'VGG16':64}
wanted = sys.argv[2].split(',') if len(sys.argv)>2 else list(side)
for arch in wanted:
    s = side[arch]; make = getattr(keras.applications, arch)
    def base(): return make(weights=None, include_top=False, input_shape=(s,s,3))
    def flat():
        b = base(); return keras.Model(b.input, head(b.output, 5, 'softmax', True))
    def nested():
        b = base(); i = keras.Input((s,s,3)); x = b(i, training=False)
        x = layers.GlobalAveragePooling2D()(x); x = layers.Dropout(.2)(x)
        return keras.Model(i, layers.Dense(5, activation='softmax')(x))
    def seq():
        return keras.Sequential([keras.Input((s,s,3)), base(), layers.GlobalAveragePooling2D(), layers.Dense(3)])
    def binary():
        b = base(); i = keras.Input((s,s,3)); x = layers.Rescaling(1/127.5, offset=-1)(i); x = b(x, training=False)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(i, layers.Dense(1, activation='sigmoid')(x))
    def deep():
        return keras.Sequential([keras.Input((s,s,3)), base(), layers.GlobalAveragePooling2D(), layers.Dense(8, activation='relu'), layers.Dense(3)])
    def many():
        b = base(); return keras.Model(b.input, head(b.output, 1000, 'softmax', True))
    def tuned():
        # Its upper half is trained too, and its mean is the base's own.
        b = make(weights=None, include_top=False, input_shape=(s,s,3), pooling='avg')
        for layer in b.layers[:len(b.layers)//2]: layer.trainable = False
        i = keras.Input((s,s,3)); x = layers.RandomFlip()(i)
        return keras.Model(i, layers.Dense(2, activation='softmax')(b(x)))
    def most():
        b = base(); x = layers.GlobalMaxPooling2D()(b.output)
        return keras.Model(b.input, layers.Dense(5, activation='softmax')(x))
    def flattened():
        b = base(); return keras.Model(b.input, layers.Dense(5, activation='softmax')(layers.Flatten()(b.output)))
    for kind, f in dict(flat=flat, nested=nested, seq=seq, binary=binary, deep=deep, many=many, tuned=tuned, most=most, flattened=flattened).items():
        keras.backend.clear_session(); keras.utils.set_random_seed(1)
        net = f(); fill(net)
        t = f'{out}/{arch}-{kind}'
        # What must be refused needs no answer.
        if kind in ('deep', 'most', 'flattened'): save(net, t); continue
        x = pictures(2)
        if kind=='binary': x = (x+1)*np.float32(127.5)
        settle(net)
        if kind=='tuned':
            # With an optimizer's state beside the weights.
            net.compile('adam', 'categorical_crossentropy'); net.optimizer.build(net.trainable_variables)
        spread(net, x)
        precisely('float64'); exact = f(); exact.set_weights(net.get_weights()); precisely('float32')
        z = scores(exact, x.astype('float64')); y = np.asarray(exact(x.astype('float64'), training=False))
        own = scores(net, x); off = np.abs(own-z).max()/np.abs(z).max(); print(arch, kind, z.dtype, f'Keras itself {off:.1e}')
        np.save(t+'-x.npy', (x if kind!='binary' else x.astype('float64')/127.5-1).astype('float32').transpose(0,3,1,2).copy()); np.save(t+'-y.npy', y); np.save(t+'-z.npy', z); np.save(t+'-own.npy', own)
        save(net, t)
print(keras.__version__, 'done')
