import type { Operations } from '../../database/operations.js'
import type { BreakerRepository, SharedCircuit } from '../../repositories/breaker-repository.js'
import { type Counted, type Counter, trips } from './circuit-counts.js'
import { type CircuitSettings, type CircuitTransition, resetDelay } from './circuit-options.js'
import { type CircuitView, unknownCircuit, viewOf } from './circuit-view.js'
import { FailureStreak } from './failure-streak.js'
import { settlesWithin } from './patience.js'
import { SlidingWindow } from './sliding-window.js'
import { BackgroundWarning, warn } from './warning.js'

/** What a circuit's mirror works with. */
export interface MirrorContext {
  readonly repository: BreakerRepository
  readonly operations: Operations
  /** Names this process. */
  readonly instance: string
  /** Names this mirror among those of all processes. */
  readonly reporter: string
  /** Told when the circuit looks different from here. */
  readonly onChange: () => void
}

// Milliseconds a call waits for the database at most; then this process decides on its own until it answers again.
const PATIENCE = 500

// What was known longer ago than so many refresh intervals is looked up before the call, not beside it.
const STALE_INTERVALS = 4

/**
 * What one process knows of a shared circuit, and has counted towards it.
 *
 * Calls are decided by the view, which is refreshed beside them; what they count is merged into the shared circuit in
 * batches. When the database is away, the view goes on by itself: it opens by the same rule, and the prober's outcomes
 * change it. The next successful refresh replaces it by the shared state.
 */
export class CircuitMirror {
  readonly key: string
  readonly settings: CircuitSettings
  /** Given by whoever asked for the breaker last. */
  onTransition: ((transition: CircuitTransition) => void) | undefined
  readonly #storedKey: string
  readonly #context: MirrorContext
  readonly #counter: Counter
  readonly #warning = new BackgroundWarning()
  #view: CircuitView = unknownCircuit
  #epoch = 0
  #isAway = false
  #reason: string | null = null
  #reports = 0
  // A report of which the database did not say whether it has arrived.
  #doubtful: { readonly number: number; readonly counted: Counted } | undefined
  #refreshing: Promise<void> | undefined
  #nextRefresh = 0
  #timer: NodeJS.Timeout | undefined
  #usedAt = 0
  #isClosed = false

  constructor(key: string, storedKey: string, settings: CircuitSettings, context: MirrorContext) {
    this.key = key
    this.settings = settings
    this.#storedKey = storedKey
    this.#context = context
    this.#counter =
      settings.failureRateThreshold === undefined
        ? new FailureStreak(context.reporter)
        : new SlidingWindow(context.reporter, settings.slidingWindow)
  }

  get view(): CircuitView {
    return this.#view
  }

  /** Grows whenever the circuit changes as seen from here; a call's result counts only in the epoch it began in. */
  get epoch(): number {
    return this.#epoch
  }

  /** Whether the database did not answer when it was asked last. */
  get isAway(): boolean {
    return this.#isAway
  }

  /** Milliseconds until an open circuit may be probed. */
  get untilDue(): number {
    return Math.max(0, this.#view.dueAt - performance.now())
  }

  /** Whether nothing would be lost if this were forgotten. */
  isIdle(): boolean {
    const { slidingWindow, refreshInterval } = this.settings
    const sinceUse = performance.now() - this.#usedAt
    return sinceUse > slidingWindow + refreshInterval && !this.#counter.hasNews && this.#refreshing === undefined
  }

  /**
   * Sees to it that the view is recent enough to decide by: usually at once, with a refresh beside the call.
   * Waits for the database when the last look was long ago, but never for long, and not while it is away.
   */
  lookedAt(): Promise<unknown> | undefined {
    const now = performance.now()
    this.#usedAt = now
    if (now < this.#nextRefresh) return undefined
    const refreshed = this.refresh()
    const isStale = now - this.#view.readAt > STALE_INTERVALS * this.settings.refreshInterval
    return isStale && !this.#isAway ? this.#patiently(refreshed) : undefined
  }

  /** Reports what was counted and reads the shared state. One at a time; never rejects. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
      this.#nextRefresh = performance.now() + this.settings.refreshInterval * (0.8 + Math.random() / 5)
      if (this.#counter.hasNews && !this.#isClosed) this.#refreshLater()
    })
    return this.#refreshing
  }

  /** Like {@link refresh}, but not content with one that is under way, which may have reported and read already. */
  async refreshAnew(): Promise<void> {
    await this.#refreshing
    await this.refresh()
  }

  /** Counts the result of a call that was let through in this epoch; a late one is ignored. */
  record(epoch: number, isFailure: boolean, reason: string | null): void {
    if (epoch !== this.#epoch || this.#view.state !== 'closed' || this.#isClosed) return
    this.#counter.add(isFailure, this.#view)
    if (isFailure) this.#reason = reason
    if (!this.#counter.hasNews) return
    if (isFailure && this.#trips(this.#view)) this.assume('open', 0)
    const isUrgent = isFailure && this.settings.failureRateThreshold === undefined
    if (this.#view.isAssumed || isUrgent) void this.refresh()
    else this.#refreshLater()
  }

  /** Changes the view without the database; the next successful refresh has the last word. */
  assume(state: 'closed' | 'open', attempt: number): void {
    const before = this.#view
    const dueAt = performance.now() + resetDelay(this.settings, attempt)
    this.#show({ ...before, state, attempt, dueAt, isAssumed: true })
    if (state === 'open') return
    // The success starts the shared count over as well, as soon as it can be told.
    this.#counter.recover()
    this.#view = { ...this.#view, failureCount: 0, reports: [] }
    this.#refreshLater()
  }

  /**
   * Takes over what the database told.
   *
   * @param readAt - When it was asked. An answer that was overtaken by a later one is passed over.
   */
  adopt(row: SharedCircuit, readAt: number): void {
    if (readAt < this.#view.readAt) return
    const view = viewOf(row, this.settings, readAt)
    this.#resolveDoubt(view)
    if (row.version !== this.#view.version && this.#isKnown()) this.#counter.clear()
    if (view.state === 'closed' && this.#trips(view)) {
      // The database does not know yet that it is enough.
      const dueAt = this.#isOpenOf(row.version) ? this.#view.dueAt : readAt + resetDelay(this.settings, 0)
      this.#show({ ...view, state: 'open', attempt: 0, dueAt, isAssumed: true })
    } else this.#show(view)
  }

  /**
   * Reads the shared state now.
   *
   * @param whenAnswered - Runs when it has been read, or could not be, and before the view changes.
   */
  async read(whenAnswered?: () => void): Promise<SharedCircuit> {
    const readAt = performance.now()
    const reading = this.#run(() => this.#context.repository.find(this.#storedKey))
    const row = await reading.finally(whenAnswered)
    this.adopt(row, readAt)
    return row
  }

  /** The database has not answered in time. */
  giveUpWaiting(): void {
    this.#isAway = true
  }

  /** Tells the one who wants to know of a change that was made from here. */
  announce(from: CircuitTransition['from'], to: CircuitTransition['to']): void {
    try {
      this.onTransition?.({ key: this.key, from, to })
    } catch (error) {
      warn(error)
    }
  }

  /** Reports what is left, for the last time. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#refreshing
    if (this.#counter.hasNews) await this.refresh()
    clearTimeout(this.#timer)
  }

  async #refresh(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    try {
      // What was counted before the first look belongs to the version that it will find.
      if (!this.#isKnown()) await this.read()
      await this.#exchange()
      // The opening ends the counting, so all that was counted is told before.
      if (this.#isOpenOf(this.#view.version) && this.#counter.hasNews) await this.#exchange()
      if (this.#isOpenOf(this.#view.version)) await this.#open()
      this.#isAway = false
    } catch (error) {
      this.#isAway = true
      this.#warning.of(error)
    }
  }

  async #exchange(): Promise<void> {
    if (this.#doubtful !== undefined) await this.read()
    const { version } = this.#view
    const reported = await this.#report()
    await this.read(() => {
      if (reported !== undefined && version === this.#view.version) this.#counter.confirm(reported)
    })
  }

  async #report(): Promise<Counted | undefined> {
    if (!this.#counter.hasNews) return undefined
    const { instance, reporter, repository } = this.#context
    const { version } = this.#view
    const reason = this.#reason
    const counted = this.#counter.report(this.#view)
    this.#reason = null
    const number = ++this.#reports
    const report = { ...counted, counts: JSON.stringify(counted.counts), number, version, reporter, instance, reason }
    try {
      await this.#run(() => repository.report(this.#storedKey, report))
    } catch (error) {
      this.#reason ??= reason
      this.#doubtful = { number, counted }
      throw error
    }
    return counted
  }

  async #open(): Promise<void> {
    const { version } = this.#view
    const isOpener = await this.#run(() => this.#context.repository.open(this.#storedKey, version))
    if (isOpener) this.announce('closed', 'open')
    await this.read()
  }

  #resolveDoubt({ version, reports }: CircuitView): void {
    const doubtful = this.#doubtful
    if (doubtful === undefined) return
    this.#doubtful = undefined
    const { reporter } = this.#context
    const hasArrived = reports.some((report) => report.reporter === reporter && report.number === doubtful.number)
    if (hasArrived && version === this.#view.version) this.#counter.confirm(doubtful.counted)
  }

  #show(view: CircuitView): void {
    const { state, version } = this.#view
    // Calls that began before the first look belong to what it finds.
    const isSame = view.state === state && (view.version === version || !this.#isKnown())
    this.#view = view
    if (isSame) return
    this.#epoch++
    this.#context.onChange()
  }

  #trips(view: CircuitView): boolean {
    return trips(this.settings, this.#counter.tally(view))
  }

  #isKnown(): boolean {
    return this.#view.readAt > Number.NEGATIVE_INFINITY
  }

  #isOpenOf(version: number): boolean {
    return this.#view.isAssumed && this.#view.state === 'open' && this.#view.version === version
  }

  #refreshLater(): void {
    this.#timer ??= setTimeout(() => {
      // A refresh that is under way may need another one afterwards.
      this.#timer = undefined
      void this.refresh()
    }, this.settings.refreshInterval).unref()
  }

  async #patiently(refreshed: Promise<void>): Promise<void> {
    if (!(await settlesWithin(refreshed, PATIENCE))) this.giveUpWaiting()
  }

  #run<T>(work: () => Promise<T>): Promise<T> {
    return this.#context.operations.run('circuit breaker', work)
  }
}
