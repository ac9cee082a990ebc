import { once } from 'node:events'
import type { CircuitBreakerOptions, MySQLAdapterOptions } from 'goscope-mysql'
import { Child } from '../support/child-process.js'
import type { Heard, Order, Outcomes, Said } from './circuit-caller.js'

/** A call as the service saw it. Times are those of this process's `performance.now()`. */
export interface ServedCall {
  readonly caller: Caller
  readonly kind: string
  readonly began: number
  /** Absent while it runs. */
  ended?: number
}

/** The service that the processes call. It runs in this process, so that it sees the calls of all of them. */
export class Service {
  /** Decides how a call ends, and when: `true` lets it fail. */
  fails: (call: ServedCall) => boolean | Promise<boolean> = () => false
  readonly calls: ServedCall[] = []
  /** The most calls that ran at once. */
  most = 0

  get running(): ServedCall[] {
    return this.calls.filter(({ ended }) => ended === undefined)
  }

  /** Forgets the calls that were made. */
  forget(): void {
    this.calls.length = 0
    this.most = 0
  }

  async serve(caller: Caller, kind: string): Promise<boolean> {
    const call: ServedCall = { caller, kind, began: performance.now() }
    this.calls.push(call)
    this.most = Math.max(this.most, this.running.length)
    const fails = await this.fails(call)
    call.ended ??= performance.now()
    return fails
  }
}

/** A process that calls the service. */
export class Caller {
  readonly child: Child<Said>
  readonly transitions: string[] = []
  readonly #exit: Promise<never>
  readonly #orders: ((result: unknown) => void)[] = []

  /** @param clockShift - Milliseconds by which the process's clock jumps back and forth. */
  constructor(service: Service, url: string, adapterOptions: MySQLAdapterOptions, clockShift: number) {
    const environment = { CLOCK_SHIFT: String(clockShift), CLOCK_JUMPS: '1' }
    this.child = new Child<Said>('races/circuit-caller.ts', { url, adapterOptions }, environment)
    this.child.process.on('message', (said: Said) => {
      if (said.is === 'transition') this.transitions.push(said.change)
      if (said.is === 'done') this.#orders[said.order]?.(said.result)
      if (said.is !== 'call') return
      void service.serve(this, said.kind).then((fails) => this.#tell({ is: 'answer', call: said.call, fails }))
    })
    this.#exit = once(this.child.process, 'exit').then(([code, signal]) => {
      // Nobody waits any more for what a process called that has ended.
      for (const call of service.running) if (call.caller === this) call.ended = performance.now()
      throw new Error(`the process ended with ${code ?? signal}`)
    })
    this.#exit.catch(() => {})
  }

  /** Resolves when the order has been carried out. */
  async order(order: Order): Promise<unknown> {
    const result = new Promise((resolve) => this.#orders.push(resolve))
    this.#tell({ is: 'order', id: this.#orders.length - 1, order })
    return Promise.race([result, this.#exit])
  }

  #tell(heard: Heard): void {
    // A process that was killed does not listen any more.
    if (this.child.process.connected) this.child.process.send(heard, () => {})
  }
}

/** Several processes that call one service through breakers of one key. */
export class Fleet {
  readonly service: Service = new Service()
  readonly callers: readonly Caller[]

  private constructor(url: string, size: number, adapterOptions: MySQLAdapterOptions) {
    this.callers = Array.from({ length: size }, (_, index) => {
      // Every second one is wrong about the time.
      return new Caller(this.service, url, adapterOptions, (index % 2) * 3_600_000)
    })
  }

  static async start(url: string, size: number, adapterOptions: MySQLAdapterOptions = {}): Promise<Fleet> {
    const fleet = new Fleet(url, size, adapterOptions)
    await Promise.all(fleet.callers.map(({ child }) => child.until(({ is }) => is === 'ready')))
    return fleet
  }

  /** From now on, all processes call through the breaker of this key. */
  async use(key: string, options: CircuitBreakerOptions): Promise<void> {
    this.service.forget()
    for (const { transitions } of this.callers) transitions.length = 0
    await this.#order({ do: 'use', key, options })
  }

  /** So many calls of each process at once, and how they ended. */
  async call(calls: number, kind = 'burst'): Promise<Outcomes> {
    return sumOf((await this.#order({ do: 'call', calls, kind })) as Outcomes[])
  }

  /** Lets each process call steadily, by so many callers. */
  async startCalling(callers: number, pause: number): Promise<void> {
    await this.#order({ do: 'start', callers, pause })
  }

  /** Ends the steady calling. */
  async stopCalling(): Promise<Outcomes> {
    return sumOf(((await this.#order({ do: 'stop' })) as Outcomes[][]).flat())
  }

  /** Lets all processes report and look; the states they saw. */
  async refresh(): Promise<string[]> {
    return (await this.#order({ do: 'refresh' })) as string[]
  }

  /** The transitions that processes were told of, and how often. */
  get told(): Record<string, number> {
    const told: Record<string, number> = {}
    for (const change of this.callers.flatMap(({ transitions }) => transitions)) told[change] = (told[change] ?? 0) + 1
    return told
  }

  /** Ends the processes that are left. */
  async end(): Promise<void> {
    const alive = this.callers.filter(({ child }) => child.process.connected)
    const exits = alive.map(({ child }) => once(child.process, 'exit'))
    await this.#order({ do: 'end' })
    await Promise.all(exits)
  }

  #order(order: Order): Promise<unknown[]> {
    const alive = this.callers.filter(({ child }) => child.process.connected)
    return Promise.all(alive.map((caller) => caller.order(order)))
  }
}

function sumOf(all: readonly Outcomes[]): Outcomes {
  const sum: Outcomes = { answered: 0, failed: 0, rejected: 0, unexpected: [] }
  for (const { answered, failed, rejected, unexpected } of all) {
    sum.answered += answered
    sum.failed += failed
    sum.rejected += rejected
    sum.unexpected.push(...unexpected)
  }
  return sum
}
