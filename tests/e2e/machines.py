"""The machines of QEMU that Debian's kernels boot on, by architecture, and which QEMU that is."""

import os
from dataclasses import dataclass

QEMU = os.environ.get("SWAT_QEMU", "qemu-system-x86_64")


def program_beside(qemu, name):
    """The QEMU called `name` of the same build: SWAT_QEMU names one of several."""
    return os.path.join(os.path.dirname(qemu), name)


@dataclass(frozen=True)
class Machine:
    """How a guest of one of Debian's architectures is booted; see architecture() in fetch-guest."""

    qemu: str
    console: str
    machine_args: tuple = ()
    # The second serial port, behind a chardev called "agent", and what it is called in the guest.
    agent_args: tuple = ("-serial", "chardev:agent")
    agent: str = "ttyS1"
    memory: str = "256M"
    append: str = ""

    @property
    def has_one_port(self):
        """The console's messages come before the agent's first reply, and are few later on."""
        return self.agent == self.console

    def program(self):
        return program_beside(QEMU, self.qemu)


ARM_VIRT = Machine("qemu-system-arm", "ttyAMA0", ("-M", "virt,highmem=off", "-cpu", "cortex-a15"),
                   ("-device", "pci-serial,chardev=agent"), "ttyS0")
MACHINES = {
    "amd64": Machine(os.path.basename(QEMU), "ttyS0"),
    "i386": Machine("qemu-system-i386", "ttyS0"),
    "i386-686": Machine("qemu-system-i386", "ttyS0"),
    # Its only other port is the secure world's.
    "arm64": Machine("qemu-system-aarch64", "ttyAMA0", ("-M", "virt", "-cpu", "cortex-a57"),
                     ("-device", "pci-serial,chardev=agent"), "ttyS0"),
    # One that has such pages.
    "arm64-16k": Machine("qemu-system-aarch64", "ttyAMA0", ("-M", "virt", "-cpu", "cortex-a76"),
                         ("-device", "pci-serial,chardev=agent"), "ttyS0"),
    # It has as much memory as it has. The driver asks the power controller, which QEMU's has not.
    "armel": Machine("qemu-system-arm", "ttyAMA0", ("-M", "raspi0"), (), "ttyAMA0", "512M",
                     "initcall_blacklist=bcm2835_power_driver_init"),
    "armhf": ARM_VIRT,
    "armhf-lpae": ARM_VIRT,
}
