// SPDX-License-Identifier: GPL-2.0
/*
 * Zones without hardware: registers a powercap control type "intel-rapl" with package-0 {core, dram},
 * package-1 and psys, so that energy_uj and the limits are the kernel's own attributes, and rmmod is a hot-unplug.
 * Single zones come and go by `present`; its bit 5 is package-0 again as "intel-rapl-mmio" has it.
 */
#include <linux/module.h>
#include <linux/powercap.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/spinlock.h>
#include <linux/slab.h>
#include <linux/mutex.h>

#define MAXZ 8
static unsigned int power_uw[MAXZ] = { 42000000, 30000000, 6000000, 38000000, 95000000 };
static int npower = 5;
module_param_array(power_uw, uint, &npower, 0644);
MODULE_PARM_DESC(power_uw, "power of each zone in microwatts, at any time: package-0, core, dram, package-1, psys");
static unsigned long long max_range_uj = 262143328850ULL;
module_param(max_range_uj, ullong, 0444);
MODULE_PARM_DESC(max_range_uj, "the largest value of every counter; the next one is 0");
static unsigned long long start_uj;
module_param(start_uj, ullong, 0444);
MODULE_PARM_DESC(start_uj, "where every counter starts");
static bool frozen;
module_param(frozen, bool, 0644);
MODULE_PARM_DESC(frozen, "counters stand still");
static int read_errno[MAXZ];
static int nerrno = 5;
module_param_array(read_errno, int, &nerrno, 0644);
MODULE_PARM_DESC(read_errno, "what reading energy_uj of each zone answers in place of a number; 0 is the number");
static unsigned long long total_uj[MAXZ];
static int ntotal = 5;
module_param_array(total_uj, ullong, &ntotal, 0444);
MODULE_PARM_DESC(total_uj, "what each zone has counted since it was loaded, wraps included");
static unsigned int reads;
module_param(reads, uint, 0444);
MODULE_PARM_DESC(reads, "how often any energy_uj was read");

static bool locked;
module_param(locked, bool, 0644);
MODULE_PARM_DESC(locked, "as firmware locks limits: they read, writes are refused, and enabled reads 0");
static unsigned int unit_uw = 125000;
module_param(unit_uw, uint, 0644);
MODULE_PARM_DESC(unit_uw, "limits are kept in multiples of this");

struct fz {
	struct powercap_zone pz;
	const char *name;
	int parent, idx, ncons;
	bool mmio;
	spinlock_t lock;
	u64 last_ns, rest_fj, uj;
	u64 limit_uw[2], window_us[2], max_uw[2];
	bool enabled, registered;
};
static struct fz z[] = {
	{ .name = "package-0", .parent = -1, .ncons = 2 },
	{ .name = "core",      .parent = 0,  .ncons = 1 },
	{ .name = "dram",      .parent = 0,  .ncons = 1 },
	{ .name = "package-1", .parent = -1, .ncons = 2 },
	{ .name = "psys",      .parent = -1, .ncons = 2 },
	{ .name = "package-0", .parent = -1, .ncons = 2, .mmio = true },
};
static struct powercap_control_type *ct, *ct_mmio;
static DEFINE_MUTEX(plugging);
#define to_fz(p) container_of(p, struct fz, pz)

static void advance(struct fz *f)
{
	u64 now = ktime_get_ns(), dt = now - f->last_ns, fj, add;
	u32 rest;

	f->last_ns = now;
	if (frozen)
		return;
	/* uW * ns is fJ, and 1e9 of them are one uJ; whole seconds apart, so that nothing overflows */
	fj = (u64)power_uw[f->idx] * (dt % 1000000000ULL) + f->rest_fj;
	add = (u64)power_uw[f->idx] * (dt / 1000000000ULL);
	add += div_u64_rem(fj, 1000000000U, &rest);
	f->rest_fj = rest;
	f->uj += add;
	total_uj[f->idx] += add;
	while (f->uj > max_range_uj)
		f->uj -= max_range_uj + 1;
}

static int get_energy(struct powercap_zone *p, u64 *v)
{
	struct fz *f = to_fz(p);
	unsigned long fl;

	reads++;
	if (read_errno[f->idx])
		return -read_errno[f->idx];
	spin_lock_irqsave(&f->lock, fl);
	advance(f);
	*v = f->uj;
	spin_unlock_irqrestore(&f->lock, fl);
	return 0;
}

static int get_range(struct powercap_zone *p, u64 *v) { *v = max_range_uj; return 0; }
static int release(struct powercap_zone *p) { return 0; }
static int get_en(struct powercap_zone *p, bool *m) { *m = to_fz(p)->enabled && !locked; return 0; }

static int set_en(struct powercap_zone *p, bool m)
{
	if (locked)
		return -EACCES;
	to_fz(p)->enabled = m;
	return 0;
}

static const struct powercap_zone_ops zops = {
	.get_max_energy_range_uj = get_range, .get_energy_uj = get_energy,
	.set_enable = set_en, .get_enable = get_en, .release = release,
};

static int set_lim(struct powercap_zone *p, int id, u64 v)
{
	u32 rest;

	if (locked)
		return -EACCES;
	div_u64_rem(v, unit_uw ? unit_uw : 1, &rest);
	to_fz(p)->limit_uw[id] = v - rest;
	return 0;
}

static int get_lim(struct powercap_zone *p, int id, u64 *v) { *v = to_fz(p)->limit_uw[id]; return 0; }
static int set_win(struct powercap_zone *p, int id, u64 v) { to_fz(p)->window_us[id] = v; return 0; }
static int get_win(struct powercap_zone *p, int id, u64 *v) { *v = to_fz(p)->window_us[id]; return 0; }
static int get_max(struct powercap_zone *p, int id, u64 *v) { *v = to_fz(p)->max_uw[id]; return 0; }
static const char *cname(struct powercap_zone *p, int id) { return id ? "short_term" : "long_term"; }
static const struct powercap_zone_constraint_ops cops = {
	.set_power_limit_uw = set_lim, .get_power_limit_uw = get_lim,
	.set_time_window_us = set_win, .get_time_window_us = get_win,
	.get_max_power_uw = get_max, .get_name = cname,
};

static struct powercap_control_type *ct_of(struct fz *f) { return f->mmio ? ct_mmio : ct; }

static int plug(struct fz *f)
{
	struct powercap_zone *r;

	f->last_ns = ktime_get_ns();
	f->rest_fj = 0;
	f->uj = start_uj;
	f->enabled = true;
	f->limit_uw[0] = 125000000;
	f->window_us[0] = 27983872;
	f->max_uw[0] = 125000000;
	f->limit_uw[1] = 150000000;
	f->window_us[1] = 2440;
	f->max_uw[1] = 0;
	r = powercap_register_zone(&f->pz, ct_of(f), f->name, f->parent < 0 ? NULL : &z[f->parent].pz,
				   &zops, f->ncons, &cops);
	if (IS_ERR(r)) {
		pr_err("fake_rapl: zone %s: %ld\n", f->name, PTR_ERR(r));
		return PTR_ERR(r);
	}
	f->registered = true;
	return 0;
}

/* Zones of this mask and no others; one lies in another only while that one is there. */
static int show_only(unsigned int mask)
{
	int i, err;

	for (i = 0; i < ARRAY_SIZE(z); i++)
		if (z[i].parent >= 0 && !(mask & BIT(z[i].parent)))
			mask &= ~BIT(i);
	for (i = ARRAY_SIZE(z) - 1; i >= 0; i--)
		if (z[i].registered && !(mask & BIT(i))) {
			z[i].registered = false;
			powercap_unregister_zone(ct_of(&z[i]), &z[i].pz);
		}
	for (i = 0; i < ARRAY_SIZE(z); i++)
		if (!z[i].registered && (mask & BIT(i))) {
			err = plug(&z[i]);
			if (err)
				return err;
		}
	return 0;
}

static unsigned int present = 0x1f;

static int set_present(const char *text, const struct kernel_param *param)
{
	unsigned int mask;
	int err = kstrtouint(text, 0, &mask);

	if (err)
		return err;
	mutex_lock(&plugging);
	present = mask;
	/* Before the module's own start there is nothing to show yet. */
	if (ct)
		err = show_only(mask);
	mutex_unlock(&plugging);
	return err;
}

static const struct kernel_param_ops present_ops = { .set = set_present, .get = param_get_uint };
module_param_cb(present, &present_ops, &present, 0644);
MODULE_PARM_DESC(present, "which zones there are, as bits: package-0, core, dram, package-1, psys, package-0 by MMIO");

static void undo(void)
{
	show_only(0);
	powercap_unregister_control_type(ct_mmio);
	powercap_unregister_control_type(ct);
}

static int __init fr_init(void)
{
	struct powercap_control_type *made, *made_mmio;
	int i, err;

	made = powercap_register_control_type(NULL, "intel-rapl", NULL);
	if (IS_ERR(made))
		return PTR_ERR(made);
	made_mmio = powercap_register_control_type(NULL, "intel-rapl-mmio", NULL);
	if (IS_ERR(made_mmio)) {
		powercap_unregister_control_type(made);
		return PTR_ERR(made_mmio);
	}
	for (i = 0; i < ARRAY_SIZE(z); i++) {
		spin_lock_init(&z[i].lock);
		z[i].idx = i;
	}
	mutex_lock(&plugging);
	ct = made;
	ct_mmio = made_mmio;
	err = show_only(present);
	mutex_unlock(&plugging);
	if (err)
		undo();
	return err;
}

static void __exit fr_exit(void) { undo(); }
module_init(fr_init);
module_exit(fr_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("powercap zones without hardware, for tests");
