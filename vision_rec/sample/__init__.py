"""The sample shop: a drawn catalogue of things in known colours, patterns and shapes."""

from vision_rec.sample.draw import Factors, draw_product, draw_with_mask, iter_drawn
from vision_rec.sample.shop import SampleShop, draw_shop
from vision_rec.sample.spec import ProductSpec, Scene, draw_scene, draw_spec

__all__ = [
    "Factors",
    "ProductSpec",
    "SampleShop",
    "Scene",
    "draw_product",
    "draw_scene",
    "draw_shop",
    "draw_spec",
    "draw_with_mask",
    "iter_drawn",
]
