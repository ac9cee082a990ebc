import type { Counted, Counter, Tally } from './circuit-counts.js'
import { type CircuitView, type Counts, instanceOf } from './circuit-view.js'

// The resolution of ages: a tenth of the window.
const BUCKETS = 10

interface Bucket {
  readonly start: number
  calls: number
  failures: number
}

/**
 * Counts the calls of the last so many milliseconds. Each process reports the whole of its own window, so a report
 * can be lost or repeated without changing the sum; ages, not times, are reported, so clocks need not agree.
 */
export class SlidingWindow implements Counter {
  readonly #reporter: string
  readonly #duration: number
  #buckets: Bucket[] = []
  #added = 0
  #reported = 0

  /** @param duration - Milliseconds. */
  constructor(reporter: string, duration: number) {
    this.#reporter = reporter
    this.#duration = duration
  }

  get hasNews(): boolean {
    return this.#added > this.#reported
  }

  add(isFailure: boolean): void {
    const now = performance.now()
    let bucket = this.#buckets.at(-1)
    if (bucket === undefined || now - bucket.start >= this.#duration / BUCKETS) {
      bucket = { start: now, calls: 0, failures: 0 }
      this.#buckets.push(bucket)
      this.#dropOld(now)
    }
    bucket.calls++
    if (isFailure) bucket.failures++
    this.#added++
  }

  report(view: CircuitView): Counted {
    const { failures } = this.tally(view)
    const gone = view.reports.find(({ reporter, ...report }) => {
      return reporter !== this.#reporter && sum(report, 0, this.#duration).calls === 0
    })
    return {
      counts: this.#counts(),
      failures,
      addsToCount: false,
      startsOver: false,
      gone: gone?.reporter ?? null,
      mark: this.#added,
    }
  }

  confirm({ mark }: Counted): void {
    this.#reported = mark
  }

  tally(view: CircuitView): Tally {
    const since = performance.now() - view.readAt
    let { calls, failures } = sum({ age: 0, counts: this.#counts() }, 0, this.#duration)
    const seenBy = new Set(failures > 0 ? [instanceOf(this.#reporter)] : [])
    for (const report of view.reports) {
      if (report.reporter === this.#reporter) continue
      const others = sum(report, since, this.#duration)
      calls += others.calls
      failures += others.failures
      if (others.failures > 0) seenBy.add(instanceOf(report.reporter))
    }
    return { calls, failures, instances: seenBy.size }
  }

  clear(): void {
    this.#buckets = []
    this.#reported = this.#added
  }

  recover(): void {
    this.clear()
    this.add(false)
  }

  #counts(): Counts {
    const now = performance.now()
    this.#dropOld(now)
    return this.#buckets.map(({ start, calls, failures }) => [Math.round(now - start), calls, failures])
  }

  #dropOld(now: number): void {
    const kept = this.#buckets.findIndex(({ start }) => now - start < this.#duration)
    if (kept !== 0) this.#buckets.splice(0, kept < 0 ? this.#buckets.length : kept)
  }
}

function sum(
  { age, counts }: { age: number; counts: Counts },
  since: number,
  duration: number,
): Omit<Tally, 'instances'> {
  let calls = 0
  let failures = 0
  for (const [bucketAge, bucketCalls, bucketFailures] of counts) {
    if (bucketAge + age + since >= duration) continue
    calls += bucketCalls
    failures += bucketFailures
  }
  return { calls, failures }
}
