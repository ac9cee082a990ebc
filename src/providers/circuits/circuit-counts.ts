import type { CircuitReport as StoredReport } from '../../repositories/breaker-repository.js'
import type { CircuitSettings } from './circuit-options.js'
import type { CircuitView, Counts } from './circuit-view.js'

/** What a breaker's decision goes by. */
export interface Tally {
  readonly calls: number
  readonly failures: number
  /** Distinct processes that saw failures. */
  readonly instances: number
}

/** The part of a report that depends on how a breaker counts. */
export type Counted = Pick<StoredReport, 'failures' | 'addsToCount' | 'startsOver' | 'gone'> & {
  readonly counts: Counts
  /** Which part of what was counted it covers; for {@link Counter.confirm}. */
  readonly mark: number
}

/** Counts the calls of this process, between one report and the next and beyond. */
export interface Counter {
  /** Whether there is anything to report. */
  readonly hasNews: boolean
  /** Counts a finished call. */
  add(isFailure: boolean, view: CircuitView): void
  /** What to report. Counting goes on. */
  report(view: CircuitView): Counted
  /** The report has been merged; from now on its counts come with the view. */
  confirm(report: Counted): void
  /** The calls of all processes that count. */
  tally(view: CircuitView): Tally
  /** Forgets everything: the circuit has changed. */
  clear(): void
  /** Begins anew with a success, of which the others do not know yet. */
  recover(): void
}

/** Whether a closed circuit must open. */
export function trips(settings: CircuitSettings, { calls, failures, instances }: Tally): boolean {
  if (failures === 0 || instances < settings.minimumInstances) return false
  const { failureRateThreshold: rate } = settings
  if (rate === undefined) return failures >= settings.failureThreshold
  return calls >= settings.minimumNumberOfCalls && (failures / calls) * 100 >= rate
}
