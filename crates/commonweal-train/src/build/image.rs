//! Layers on images.

use commonweal_core::job;
use commonweal_kernels::{Activation, conv, conv_pool, pool};

use super::{Builder, Place, no_bias};
use crate::error::ModelError;
use crate::layer::{Conv2d, ConvPool, Layer, Norm, Pool2d, PoolKind};
use crate::shape::Shape;

impl Builder {
    pub(super) fn conv2d(
        &mut self,
        place: Place<'_>,
        layer: &job::Layer,
    ) -> Result<(), ModelError> {
        let &job::Layer::Conv2d {
            channels,
            kernel,
            stride,
            padding,
            bias,
        } = layer
        else {
            return Ok(());
        };
        let (inputs, height, width) = self.image(place)?;
        let [outputs, kernel, stride, padding] =
            [channels, kernel, stride, padding].map(|size| size as usize);
        let sizes = conv::Conv {
            batch: 1,
            inputs,
            outputs,
            height,
            width,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
        };
        let [rows, columns] = sizes.output_size();
        if rows * columns == 0 {
            let hint = format!("the kernel of {kernel} is larger; add padding");
            return Err(place.misfit(self.shape(), hint));
        }
        let shape = [outputs, inputs, kernel, kernel];
        let tensors = self.weights(place, &shape, inputs * kernel * kernel, bias);
        let options = format!("stride={stride}, padding={padding}{}", no_bias(bias));
        self.torch(
            place,
            format!("nn.Conv2d({inputs}, {outputs}, {kernel}, {options})"),
        );
        let image = Shape::Image {
            channels: outputs,
            height: rows,
            width: columns,
        };
        let activation = Activation::Identity;
        self.push(Layer::Conv2d(Conv2d { sizes, activation }), image, tensors);
        Ok(())
    }

    pub(super) fn pool(
        &mut self,
        place: Place<'_>,
        kind: PoolKind,
        size: u32,
        stride: Option<u32>,
    ) -> Result<(), ModelError> {
        let (channels, height, width) = self.image(place)?;
        let [size, stride] = [size, stride.unwrap_or(size)].map(|size| size as usize);
        let (window, step) = ([size; 2], [stride; 2]);
        let sizes = pool::Pool {
            planes: channels,
            height,
            width,
            window,
            stride: step,
        };
        let [rows, columns] = sizes.output_size();
        if rows * columns == 0 {
            return Err(place.misfit(self.shape(), format!("the square of {size} is larger")));
        }
        let name = if kind == PoolKind::Average {
            "AvgPool2d"
        } else {
            "MaxPool2d"
        };
        self.torch(place, format!("nn.{name}({size}, stride={stride})"));
        let image = Shape::Image {
            channels,
            height: rows,
            width: columns,
        };
        let kind = self.move_relu_behind(kind);
        if !self.fuse_with_convolution(kind, sizes, image) {
            self.push(Layer::Pool2d(Pool2d { kind, sizes }), image, 0);
        }
        Ok(())
    }

    /// The largest value of ReLUs is the ReLU of the largest value, and there are fewer of those.
    fn move_relu_behind(&mut self, kind: PoolKind) -> PoolKind {
        match (kind, self.steps.last_mut().map(|step| &mut step.layer)) {
            (PoolKind::Max(_), Some(Layer::Conv2d(conv)))
                if conv.activation == Activation::Relu =>
            {
                conv.activation = Activation::Identity;
                PoolKind::Max(Activation::Relu)
            }
            _ => kind,
        }
    }

    /// Turns a convolution right before the pool into one layer with it, if the kernels have one.
    fn fuse_with_convolution(&mut self, kind: PoolKind, pool: pool::Pool, image: Shape) -> bool {
        let last = self.slots.len() - 1;
        let (PoolKind::Max(activation), Some(layer)) =
            (kind, self.steps.last_mut().map(|step| &mut step.layer))
        else {
            return false;
        };
        let Layer::Conv2d(conv) = layer else {
            return false;
        };
        let weights = conv.weights();
        match conv_pool::ConvPool::new(conv.sizes, pool) {
            Some(sizes) if conv.activation == Activation::Identity => {
                let outputs = image.width();
                *layer = Layer::ConvPool(ConvPool {
                    sizes,
                    weights,
                    outputs,
                    activation,
                });
                self.slots[last] = image;
                true
            }
            _ => false,
        }
    }

    pub(super) fn group_norm(&mut self, place: Place<'_>, groups: u32) -> Result<(), ModelError> {
        let (channels, area) = match self.shape() {
            Shape::Image {
                channels,
                height,
                width,
            } => (channels, height * width),
            Shape::Vector { features } => (features, 1),
            found => return Err(place.refuse(found, "use \"layer_norm\"")),
        };
        let groups = groups as usize;
        if groups == 0 || channels % groups != 0 {
            let hint = format!("{groups} groups do not divide {channels} channels");
            return Err(place.misfit(self.shape(), hint));
        }
        self.torch(place, format!("nn.GroupNorm({groups}, {channels})"));
        self.norm(
            place,
            Norm {
                rows: 1,
                groups,
                channels,
                area,
            },
        );
        Ok(())
    }

    fn image(&self, place: Place<'_>) -> Result<(usize, usize, usize), ModelError> {
        match self.shape() {
            Shape::Image {
                channels,
                height,
                width,
            } => Ok((channels, height, width)),
            found => Err(place.refuse(
                found,
                "it needs an image of channels × height × width; \"flatten\" comes after it",
            )),
        }
    }
}
