# One plugin as CLAP and VST3, which are two ways into one library; called by the Makefile.
SOURCES := clap vst3 vst3_factory vst3_parameters effect state text stream link paths
ifeq ($(WINDOW),true)
SOURCES += $(addprefix window/,clap_gui vst3_view view x11_window gestures picture canvas field libraries)
endif
BUILD := $(OUT)/.work/$(PLUGIN)-native
LIBRARY := $(BUILD)/$(PLUGIN).so
VST3 := $(OUT)/$(PLUGIN).vst3/Contents/$(shell uname -m)-linux/$(PLUGIN).so
HEADERS := $(wildcard *.h window/*.h)

# nodelete: the thread that looks for an engine may still run when a host that ends unloads the
# library. Symbolic, hidden: no other plugin's functions are taken for these.
FLAGS := -std=gnu++17 -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Wno-unused-parameter \
	-I. -I$(DPF)/distrho/src $(if $(filter true,$(WINDOW)),-DSTEMSTEER_WINDOW $(CAIRO)) $(if $(filter true,$(SPLIT)),-DSTEMSTEER_SPLIT) \
	$(if $(URL),-DSTEMSTEER_URL='"$(URL)"') $(if $(MAIL),-DSTEMSTEER_MAIL='"$(MAIL)"')
LINK := -shared -Wl,-z,nodelete -Wl,-Bsymbolic -Wl,--gc-sections
ifneq ($(SANITIZE),)
# Hosts' objects are of classes that are not ours, so their types cannot be checked (vptr).
FLAGS += -g1 -O1 -fsanitize=$(SANITIZE) -fno-sanitize=vptr -fno-sanitize-recover=all
LINK += -fsanitize=$(SANITIZE)
else
LINK += -Wl,--no-undefined -Wl,--strip-all
endif

all: $(OUT)/$(PLUGIN).clap $(VST3)

$(OUT)/$(PLUGIN).clap $(VST3): $(LIBRARY)
	mkdir -p $(@D)
	cp $< $@

$(LIBRARY): $(SOURCES:%=$(BUILD)/%.o)
	$(CXX) $^ $(CXXFLAGS) $(LINK) $(LDFLAGS) -lpthread -ldl -o $@

$(BUILD)/%.o: %.cpp $(HEADERS) Makefile native.mk
	mkdir -p $(@D)
	$(CXX) $(FLAGS) $(CXXFLAGS) -c $< -o $@

.PHONY: all
