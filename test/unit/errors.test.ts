import { cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  ContentionError,
  type ErrorDetails,
  InvalidArgumentError,
  NotConnectedError,
  PersistenceError,
  QueryError,
  SchemaError,
  SerializationError,
  UnavailableError,
} from 'goscope-mysql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const classes = [
  { name: 'ContentionError', type: ContentionError, code: 'CONTENTION', retryable: true },
  { name: 'InvalidArgumentError', type: InvalidArgumentError, code: 'INVALID_ARGUMENT', retryable: false },
  { name: 'NotConnectedError', type: NotConnectedError, code: 'NOT_CONNECTED', retryable: false },
  { name: 'QueryError', type: QueryError, code: 'QUERY', retryable: false },
  { name: 'SchemaError', type: SchemaError, code: 'SCHEMA', retryable: false },
  { name: 'SerializationError', type: SerializationError, code: 'SERIALIZATION', retryable: false },
  { name: 'UnavailableError', type: UnavailableError, code: 'UNAVAILABLE', retryable: true },
] as const

describe.each(classes)('$name', ({ name, type, code, retryable }) => {
  it('tells its name, code and whether to try again', () => {
    const error = new type('went wrong')
    expect(error).toMatchObject({ name, code, retryable, message: 'went wrong', operation: undefined })
    expect(error.stack).toContain('errors.test')
    expect('cause' in error).toBe(false)
  })

  it('names the operation and keeps the cause', () => {
    const cause = new Error('below')
    const error = new type('went wrong', { operation: 'acquire', cause })
    expect(error).toMatchObject({ operation: 'acquire', message: 'acquire: went wrong' })
    expect(error.cause).toBe(cause)
  })

  it('is an instance of its own class and its bases, and of no other', () => {
    const error = new type('went wrong')
    expect(error instanceof Error).toBe(true)
    expect(error instanceof PersistenceError).toBe(true)
    for (const other of classes)
      expect([other.name, error instanceof other.type]).toEqual([other.name, other.type === type])
  })
})

describe('instanceof', () => {
  it('holds for nothing that is not an error of this package', () => {
    for (const value of [null, undefined, 'CONTENTION', 1, {}, { code: 'CONTENTION' }, new Error('CONTENTION')]) {
      for (const { type } of classes) expect(value instanceof type).toBe(false)
      expect(value instanceof PersistenceError).toBe(false)
    }
  })

  it('tells a class that a user derived from its siblings and its base', () => {
    class LedgerError extends QueryError {
      constructor(message: string, details?: ErrorDetails) {
        super(message, details)
      }
    }
    class AuditError extends QueryError {}
    const error = new LedgerError('not booked', { operation: 'book' })
    expect(error.name).toBe('LedgerError')
    expect(error.code).toBe('QUERY')
    expect(error instanceof LedgerError).toBe(true)
    expect(error instanceof QueryError).toBe(true)
    expect(error instanceof PersistenceError).toBe(true)
    expect(error instanceof AuditError).toBe(false)
    expect(error instanceof SchemaError).toBe(false)
    expect(new QueryError('not booked') instanceof LedgerError).toBe(false)
  })
})

describe('two installed copies of the package', () => {
  let folder: string
  let second: typeof import('goscope-mysql')

  beforeAll(async () => {
    const root = fileURLToPath(new URL('../..', import.meta.url))
    folder = await mkdtemp(join(tmpdir(), 'goscope-second-copy-'))
    await cp(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    second = await import(/* @vite-ignore */ pathToFileURL(join(folder, 'dist/index.js')).href)
  })

  afterAll(() => rm(folder, { recursive: true }))

  it.each(classes)('recognise each other’s $name', ({ name, type }) => {
    const theirs = second[name]
    expect(theirs).not.toBe(type)
    const error = new theirs('went wrong')
    expect(error instanceof type).toBe(true)
    expect(error instanceof PersistenceError).toBe(true)
    expect(new type('went wrong') instanceof theirs).toBe(true)
    expect(new type('went wrong') instanceof second.PersistenceError).toBe(true)
    for (const other of classes)
      expect([other.name, error instanceof other.type]).toEqual([other.name, other.type === type])
  })
})
