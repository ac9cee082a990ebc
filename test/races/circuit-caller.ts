// One of several processes that call a service through a shared breaker. The service answers by way of the parent.
import '../support/shifted-clock.js'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CircuitBreaker,
  type CircuitBreakerOptions,
  CircuitOpenError,
  MySQLAdapter,
  type MySQLAdapterOptions,
} from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** What a caller's process is told to do. */
export type Order =
  | { readonly do: 'use'; readonly key: string; readonly options: CircuitBreakerOptions }
  /** So many calls at once; the service is told their kind. */
  | { readonly do: 'call'; readonly calls: number; readonly kind: string }
  /** So many callers that call again and again, with pauses of so many milliseconds. */
  | { readonly do: 'start'; readonly callers: number; readonly pause: number }
  | { readonly do: 'stop' }
  | { readonly do: 'refresh' }
  | { readonly do: 'end' }

/** How calls ended. */
export interface Outcomes {
  answered: number
  failed: number
  rejected: number
  /** Neither the service's errors nor rejections of the breaker. */
  readonly unexpected: string[]
}

/** What a caller's process says. */
export type Said =
  | { readonly is: 'ready' }
  | { readonly is: 'call'; readonly call: number; readonly kind: string }
  | { readonly is: 'transition'; readonly change: string }
  | { readonly is: 'done'; readonly order: number; readonly result: unknown }

/** What a caller's process hears. */
export type Heard =
  | { readonly is: 'answer'; readonly call: number; readonly fails: boolean }
  | { readonly is: 'order'; readonly id: number; readonly order: Order }

const { url, adapterOptions } = childArgument<{ url: string; adapterOptions: MySQLAdapterOptions }>()
const pool = createPool({ uri: url, connectionLimit: 5 })
const state = new MySQLAdapter(pool, adapterOptions)
const down = new Error('the service is down')
const waiting = new Map<number, (fails: boolean) => void>()
let calls = 0
let breaker: CircuitBreaker | undefined
let working: Promise<Outcomes[]> | undefined
let isStopping = false

const say = (said: Said) => process.send?.(said)

const noOutcomes = (): Outcomes => ({ answered: 0, failed: 0, rejected: 0, unexpected: [] })

const callService = async (kind: string) => {
  const call = ++calls
  const fails = new Promise<boolean>((resolve) => waiting.set(call, resolve))
  say({ is: 'call', call, kind })
  if (await fails) throw down
}

const callOnce = async (kind: string, outcomes: Outcomes) => {
  try {
    await breaker?.execute(() => callService(kind))
    outcomes.answered++
  } catch (error) {
    if (error === down) outcomes.failed++
    else if (error instanceof CircuitOpenError) outcomes.rejected++
    else outcomes.unexpected.push(String(error))
  }
}

const work = async (pause: number): Promise<Outcomes> => {
  const outcomes = noOutcomes()
  while (!isStopping) {
    await callOnce('steady', outcomes)
    await sleep(pause * (0.5 + Math.random()))
  }
  return outcomes
}

const carryOut = async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case 'use': {
      const onTransition = ({ from, to }: { from: string; to: string }) =>
        say({ is: 'transition', change: `${from} to ${to}` })
      breaker = state.circuits.breaker(order.key, { ...order.options, onTransition })
      return undefined
    }
    case 'call': {
      const outcomes = noOutcomes()
      await Promise.all(Array.from({ length: order.calls }, () => callOnce(order.kind, outcomes)))
      return outcomes
    }
    case 'start':
      isStopping = false
      working = Promise.all(Array.from({ length: order.callers }, () => work(order.pause)))
      return undefined
    case 'stop':
      isStopping = true
      return working
    case 'refresh':
      return breaker?.refresh()
    case 'end':
      await state.disconnect()
      await pool.end()
      return undefined
  }
}

process.on('message', (heard: Heard) => {
  if (heard.is === 'answer') {
    waiting.get(heard.call)?.(heard.fails)
    waiting.delete(heard.call)
    return
  }
  void carryOut(heard.order).then((result) => {
    say({ is: 'done', order: heard.id, result })
    if (heard.order.do === 'end') process.disconnect?.()
  })
})
say({ is: 'ready' })
