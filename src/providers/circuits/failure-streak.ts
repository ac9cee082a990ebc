import type { Counted, Counter, Tally } from './circuit-counts.js'
import { type CircuitView, instanceOf } from './circuit-view.js'

/**
 * Counts failures in a row, of all processes together. A success of any of them starts the count over.
 *
 * What is not confirmed is kept as "start over, or not, then add so many", which can be merged into the shared count
 * whatever happened to it meanwhile.
 */
export class FailureStreak implements Counter {
  readonly #instance: string
  #failures = 0
  #startsOver = false
  // Grows with each success that ends a row.
  #row = 0

  constructor(reporter: string) {
    this.#instance = instanceOf(reporter)
  }

  get hasNews(): boolean {
    return this.#failures > 0 || this.#startsOver
  }

  add(isFailure: boolean, view: CircuitView): void {
    if (isFailure) this.#failures++
    else if (view.failureCount > 0 || this.#failures > 0) this.recover()
  }

  report(): Counted {
    return {
      counts: [[0, this.#failures, this.#failures]],
      failures: this.#failures,
      addsToCount: !this.#startsOver,
      startsOver: this.#startsOver,
      gone: null,
      mark: this.#row,
    }
  }

  confirm({ failures, mark }: Counted): void {
    // A success since then has made the reported failures void; the start over is still to be told.
    if (mark !== this.#row) return
    this.#failures -= failures
    this.#startsOver = false
  }

  tally(view: CircuitView): Tally {
    const isShared = !this.#startsOver
    const failures = (isShared ? view.failureCount : 0) + this.#failures
    const seenBy = new Set(isShared ? view.reports.filter(hasFailures).map(({ reporter }) => instanceOf(reporter)) : [])
    if (this.#failures > 0) seenBy.add(this.#instance)
    return { calls: failures, failures, instances: seenBy.size }
  }

  clear(): void {
    this.#failures = 0
    this.#startsOver = false
    this.#row++
  }

  recover(): void {
    this.#failures = 0
    // Even if no failure was reported as far as this process knows: an attempt to do so may still reach the database.
    this.#startsOver = true
    this.#row++
  }
}

function hasFailures({ counts }: CircuitView['reports'][number]): boolean {
  return counts.some(([, , failures]) => failures > 0)
}
