# One plugin as LV2 and as a JACK program, by DPF; called by the Makefile.
NAME = $(PLUGIN)
FILES_DSP = plugin.cpp effect.cpp state.cpp text.cpp stream.cpp link.cpp paths.cpp
DPF_BUILD_DIR = $(OUT)/.work/$(PLUGIN)
DPF_TARGET_DIR = $(OUT)
override CXXFLAGS += -std=gnu++17 -fno-fast-math -Wno-unused-parameter
ifeq ($(SPLIT),true)
override CXXFLAGS += -DSTEMSTEER_SPLIT
endif
ifneq ($(URL),)
override CXXFLAGS += -DSTEMSTEER_URL='"$(URL)"'
endif
override LDFLAGS += -lpthread -Wl,-z,nodelete
include $(DPF_PATH)/Makefile.plugins.mk
TARGETS = jack lv2_dsp
all: $(TARGETS)
