import { parseArgs } from 'node:util'
import type { Effort } from './measure.js'
import { type Operation, operations } from './operations.js'

const help = `Measures this package, bare mysql2 and other packages against each other, on every server.

  --quick              proves that everything runs, in two minutes; its figures say little
  --server <name>      only on this server; may be repeated
  --only <operation>   only this operation, or all of a provider, such as locks; may be repeated
  --callers <n>        only with this many concurrent callers; may be repeated (1, 16, 64)
  --rounds <n>         slices for each contender (7)
  --slice <ms>         duration of a slice (80)
  --scale              also with tables of up to a million rows, on each server and not just on one
  --durable            starts servers that wait for the disk at each commit; those given by URLs are as they are

A run of everything writes results.json, results.md and throughput.svg in bench/.`

/** What to measure, and how thoroughly. */
export interface Options {
  readonly quick: boolean
  readonly servers: readonly string[]
  readonly operations: readonly Operation[]
  readonly callers: readonly number[]
  readonly effort: Effort
  readonly scale: 'none' | 'one server' | 'every server'
  readonly durability: 'fast' | 'durable'
  /** Whether everything is measured, so that the results are worth keeping. */
  readonly complete: boolean
}

/** Reads the command line; prints the help and ends when that is asked for. */
export function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      server: { type: 'string', multiple: true, default: [] },
      only: { type: 'string', multiple: true, default: [] },
      callers: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      slice: { type: 'string' },
      scale: { type: 'boolean', default: false },
      durable: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    process.exit()
  }
  const { quick, scale } = values
  const complete = !quick && [values.server, values.only, values.callers].every((choice) => choice.length === 0)
  return {
    quick,
    servers: values.server,
    operations: chosen(values.only),
    callers:
      values.callers.length > 0
        ? values.callers.map((text) => wholeNumber('callers', text))
        : quick
          ? [4]
          : [1, 16, 64],
    effort: {
      rounds: wholeNumber('rounds', values.rounds ?? (quick ? '2' : '7')),
      slice: wholeNumber('slice', values.slice ?? (quick ? '10' : '80')),
    },
    scale: scale ? 'every server' : complete ? 'one server' : 'none',
    durability: values.durable ? 'durable' : 'fast',
    complete,
  }
}

function chosen(names: readonly string[]): readonly Operation[] {
  for (const name of names) {
    if (!operations.some((operation) => operation.name === name || operation.provider === name)) {
      const known = operations.map((operation) => operation.name).join(', ')
      throw new Error(`--only: expected an operation (${known}) or a provider, got ${name}`)
    }
  }
  if (names.length === 0) return operations
  return operations.filter(({ name, provider }) => names.includes(name) || names.includes(provider))
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new Error(`--${option}: expected a whole number, 1 or more, got ${text}`)
}
