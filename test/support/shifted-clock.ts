/**
 * Imported first, moves this process's clock by CLOCK_SHIFT milliseconds.
 * The monotonic clock (performance.now) goes on as it is, as on a machine whose clock is wrong.
 */
const shift = Number(process.env.CLOCK_SHIFT ?? 0)
const RealDate = Date

globalThis.Date = class extends RealDate {
  constructor(...values: unknown[]) {
    if (values.length === 0) super(RealDate.now() + shift)
    else super(...(values as ConstructorParameters<DateConstructor>))
  }

  static override now(): number {
    return RealDate.now() + shift
  }
} as DateConstructor
