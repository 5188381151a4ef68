# One plugin as LV2 and as a JACK program, by DPF; called by the Makefile after native.mk, whose
# objects are linked here, too: DPF compiles only what talks to it.
NAME = $(PLUGIN)
FILES_DSP = plugin.cpp
NATIVE = $(OUT)/.work/$(PLUGIN)-native
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
$(jack) $(lv2_dsp): $(addprefix $(NATIVE)/,effect.o state.o text.o stream.o link.o paths.o)
ifeq ($(WINDOW),true)
FILES_WINDOW = window/lv2_ui.cpp window/lv2_plugin.cpp
$(lv2_dsp): $(addprefix $(NATIVE)/window/,view.o x11_window.o gestures.o picture.o canvas.o field.o libraries.o)
$(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.o): BUILD_CXX_FLAGS += -I$(DPF_PATH)/distrho/src $(CAIRO)
$(lv2_dsp): $(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.o)
SYMBOLS_LV2DSP = $(SYMBOLS_LV2)
-include $(FILES_WINDOW:%=$(DPF_BUILD_DIR)/%.d)
endif
all: $(TARGETS)
