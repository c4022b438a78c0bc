"""A recurrent network as a user writes it in TensorFlow: a loop over time with a coin toss in it.

graphlab inspect examples/dynamic_rnn_tf.py
"""

import tensorflow as tf

cell = tf.keras.layers.LSTMCell(16)
cell.build((None, 8))


@tf.function(input_signature=[tf.TensorSpec([None, None, 8], tf.float32, name="x")])
def dynamic_rnn(x: tf.Tensor) -> tf.Tensor:
    """Run the cell over x[batch, time, 8], skipping steps at random; returns the kept outputs, [kept, batch, 16]."""
    batch = tf.shape(x)[0]
    state = [tf.zeros([batch, 16]), tf.zeros([batch, 16])]
    outputs = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=[None, 16])
    for i in range(tf.shape(x)[1]):
        if tf.random.uniform(()) > 0.5:
            output, state = cell(x[:, i], state)
            outputs = outputs.write(outputs.size(), output)
    return outputs.stack()
