"""Texts to begin with where no fixture has any: what each tool prints, in its shortest form."""

from __future__ import annotations

import json

XML = (
    '<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd"><nvidia_smi_log>'
    "<driver_version>570.124</driver_version><cuda_version>12.8</cuda_version><attached_gpus>1</attached_gpus>"
    "<gpu id='00000000:0C:00.0'>"
    "<product_name>NVIDIA A100</product_name><product_brand>NVIDIA</product_brand><uuid>GPU-1</uuid><mig_mode>"
    "<current_mig>Enabled</current_mig></mig_mode><mig_devices><mig_device><index>0</index>"
    "<gpu_instance_id>3</gpu_instance_id>"
    "<fb_memory_usage><total>9856 MiB</total></fb_memory_usage></mig_device></mig_devices><pci>"
    "<pci_bus_id>00000000:0C:00.0</pci_bus_id><pci_device_id>20B010DE</pci_device_id><pci_gpu_link_info><link_widths>"
    "<max_link_width>16x</max_link_width></link_widths></pci_gpu_link_info></pci>"
    "<fb_memory_usage><total>40960 MiB</total><used>1 MiB</used>"
    "<free>2 MiB</free></fb_memory_usage><gpu_power_readings><power_limit>400.00 W</power_limit></gpu_power_readings>"
    "<max_clocks><sm_clock>1410 MHz</sm_clock></max_clocks></gpu></nvidia_smi_log>"
)
CSV = (
    "index, name, uuid, pci.bus_id, memory.total [MiB], compute_cap, power.limit [W]\n"
    "0, NVIDIA A100-SXM4-40GB, GPU-1, 00000000:07:00.0, 40960 MiB, 8.0, 400.00 W\n"
)
LISTED = "GPU 0: NVIDIA H100 (UUID: GPU-1)\n  MIG 3g.40gb     Device  0: (UUID: MIG-a)\n"
LOG = (
    "[ 1.5] NVRM: Xid (PCI:0000:5d:00): 79, pid=1234, GPU has fallen off the bus.\n"
    "NVRM: GPU 0000:0c:00.0: GPU has fallen off the bus.\nNVRM: GPU at PCI:0000:5d:00: GPU-1\n"
    "NVRM: will ignore this GPU\n"
)
RELEASE = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.71.05  Release Build  (dvs@U22)\nGCC version:\n"
CARD = "Model: \t\t NVIDIA A100\nIRQ:   \t\t 1\nGPU UUID: \t GPU-????-1\nDevice Minor: \t 0\nGPU Excluded:\t No\n"
AMD_SMI = json.dumps({"gpu_data": [{
    "gpu": 0, "asic": {"market_name": "Navi 31 [Radeon RX 7900 XT/7900 XTX]", "num_compute_units": 96,
    "target_graphics_version": "gfx1100"}, "bus": {"bdf": "0000:03:00.0"}, "vram": {"type": "GDDR6", "size":
    {"value": 24560, "unit": "MB"}}, "partition": {"compute_partition": "SPX"}}]})  # fmt: skip
XPU = json.dumps({"device_list": [{
    "device_function_type": "physical", "pci_bdf_address": "0000:03:00.0", "device_id": 0, "device_name": "Intel Arc",
    "memory_physical_size_byte": 17079205888}]})  # fmt: skip
CUDA_JSON = '{"cuda": {"name": "CUDA SDK", "version": "12.8.1"}, "nvcc": {"version": "12.8"}}'
LSPCI = (
    '0000:01:00.0 "VGA compatible controller [0300]" "NVIDIA [10de]" "GA102 [2204]"\n'
    "0000:01:00.0 3D controller [0302]: NVIDIA Corporation GA100 [A100 PCIe 40GB] [10de:20f1] (rev a1)\n"
)
VM_STAT = "Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free:  1000.\nPages inactive:  9.\n"
HEADERS = (
    "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n",
    "#define TRT_MAJOR_ENTERPRISE 10\n#define TRT_MINOR_ENTERPRISE 1\n#define TRT_PATCH_ENTERPRISE 0\n",
    "CUDA Version 10.1.243\n", "6.4.1-83\n",
)  # fmt: skip
TORCH = "__version__ = '2.7.1+cu128'\ndebug = False\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
WORDS = (
    "[N/A]", "81559 MiB", "320.00 W", "16x", "0x233010DE", "00000000:0C:00.0", "535.54.03", "Enabled", "0-3,8", "1024K",
    "200000 100000", "MIG 1g.10gb", "12.570.86.10", "8.0 GT/s PCIe", "1536 MB", "33:00.0", "0x10000000", "196592 MB",
    "Navi 31 [Radeon RX 7900 XTX]", "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", "/opt/venv/bin/python3",
    "torch-2.7.1+cu128.dist-info", "PCI\\VEN_10DE&DEV_2684&SUBSYS_889D1043&REV_A1", "nv_dispi.inf_amd64_31dab",
)  # fmt: skip
ASKED = (
    "RTX 4090", "NVIDIA GeForce RTX 5070Ti Laptop GPU", "2x RTX 4090 + M4 Max 128GB", "A100 80 GB", "24GiB", "64 GB",
    "7b", "70b@q4_k_m", "8x7b@Q8_0", "30b-a3b", "Radeon RX 7900 XTX", "AMD Instinct MI300X", "Ryzen AI Max+ 395",
)  # fmt: skip
LISTS = (
    "0,1", "GPU-8f2a", "MIG-00000000", "-1", "NoDevFiles", "2,3,0\n0,1\n1\n0\n11.0.0", "0x1,02\n", "\n\nGPU-1\n",
)  # fmt: skip
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
    "HSA_OVERRIDE_GFX_VERSION",
)  # fmt: skip
