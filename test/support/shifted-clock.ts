/**
 * Imported first, moves this process's clock by CLOCK_SHIFT milliseconds; with CLOCK_JUMPS set, back and forth twice a
 * second.
 * The monotonic clock (performance.now) goes on as it is, as on a machine whose clock is wrong.
 */
const shift = Number(process.env.CLOCK_SHIFT ?? 0)
const RealDate = Date
const shiftNow = () =>
  process.env.CLOCK_JUMPS !== undefined && Math.floor(performance.now() / 250) % 2 === 1 ? -shift : shift

globalThis.Date = class extends RealDate {
  constructor(...values: unknown[]) {
    if (values.length === 0) super(RealDate.now() + shiftNow())
    else super(...(values as ConstructorParameters<DateConstructor>))
  }

  static override now(): number {
    return RealDate.now() + shiftNow()
  }
} as DateConstructor
