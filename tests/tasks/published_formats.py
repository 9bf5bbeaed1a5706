"""Small data sets in exactly the formats in which large ones are published, with images that tests know."""

import gzip
import pickle
import struct

import numpy as np

COUNTS = {"train": 240, "validation": 24, "test": 40}


def images_of(count, shape, seed):
    """Random bytes: uint8 [count, *shape]."""
    return np.random.default_rng(seed).integers(0, 256, size=(count, *shape), dtype=np.uint8)


def labels_of(count, classes):
    return np.arange(count) % classes


def write_cifar10_pickles(root, per_file=48):
    """Six pickles as Python 2 wrote them: protocol 2, byte texts as keys."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        batch = {
            b"batch_label": name.encode(),
            b"labels": labels_of(per_file, 10).tolist(),
            b"data": images_of(per_file, (3072,), seed),
            b"filenames": [b"a.png"] * per_file,
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return root


def write_cifar10_binary(root, per_file=48):
    """The same images as `write_cifar10_pickles`, in six files of records."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, name in enumerate([*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]):
        labels = labels_of(per_file, 10).astype(np.uint8)
        records = np.concatenate([labels[:, None], images_of(per_file, (3072,), seed)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return root


def idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(root, *, zipped=True, separator="-"):
    root.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate((("train", COUNTS["train"]), ("t10k", COUNTS["test"]))):
        for kind, array in (
            ("images", images_of(count, (28, 28), seed)),
            ("labels", labels_of(count, 10)),
        ):
            name = f"{part}-{kind}{separator}idx{array.ndim}-ubyte"
            content = idx(array)
            (root / (name + ".gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return root


def write_medmnist(root, name="pathmnist", *, shape=(28, 28, 3), columns=1, classes=9):
    root.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for seed, (split, count) in enumerate(zip(("train", "val", "test"), COUNTS.values(), strict=True)):
        arrays[f"{split}_images"] = images_of(count, shape, seed)
        arrays[f"{split}_labels"] = np.repeat(labels_of(count, classes)[:, None], columns, axis=1).astype(np.uint8)
    np.savez(root / f"{name}.npz", **arrays)
    return root


def write_pathfinder(root, difficulty="curv_baseline", folders=4, per_folder=60):
    """Pictures imgs/<n>/sample_<i>.png, and metadata/<n>.npy, which are text: 'imgs/0 sample_0.png 0 1 ...'."""
    from PIL import Image

    for number in range(folders):
        pictures = root / difficulty / "imgs" / str(number)
        pictures.mkdir(parents=True)
        lines = []
        for index, pixels in enumerate(images_of(per_folder, (32, 32), number)):
            name = f"sample_{index}.png"
            Image.fromarray(pixels).save(pictures / name)
            lines.append(f"imgs/{number} {name} {index} {index % 2} 1.0 0 14 5 2 2 20.0 [0.75]")
        (root / difficulty / "metadata").mkdir(exist_ok=True)
        (root / difficulty / "metadata" / f"{number}.npy").write_text("\n".join(lines) + "\n")
    return root


def write_image_folder(root, *, classes=("cat", "dog"), per_class=None, size=(9, 11)):
    """Colour pictures in class folders: in train, val and test folders unless `per_class` says how many there are."""
    from PIL import Image

    parts = {"": per_class} if per_class else {"train": 40, "val": 12, "test": 14}
    for seed, (part, count) in enumerate(parts.items()):
        for label, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index, pixels in enumerate(images_of(count, (*size, 3), 10 * seed + label)):
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def write_slides(root, *, slides=240, form="clam", width=5):
    """Bags of 8 to 20 tiles with random features, two slides a patient, and labels.csv."""
    from harness.tasks.slides.writing import Slide, write_labels, write_slide

    draw = np.random.default_rng(0)
    rows = []
    for number in range(slides):
        flat = np.sort(draw.permutation(36)[: draw.integers(8, 21)])
        features = draw.standard_normal((len(flat), width)).astype(np.float32)
        slide = Slide(name=f"s{number}", features=features, cells=np.stack(np.divmod(flat, 6), axis=1))
        write_slide(root, slide, form, draw)
        rows.append((slide.name, f"p{number // 2}", ("normal", "tumour")[number // 2 % 2]))
    write_labels(root / "labels.csv", rows)
    return root


WRITERS = {
    "cifar10": write_cifar10_pickles,
    "image-folder": write_image_folder,
    "medmnist": write_medmnist,
    "mnist": write_mnist,
    "pathfinder": write_pathfinder,
    "wsi": write_slides,
}
"""One for every task with a `root`."""
