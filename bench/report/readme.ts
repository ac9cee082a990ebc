import { readFile, writeFile } from 'node:fs/promises'
import { markdownTable } from 'markdown-table'
import { type ContenderName, OURS } from '../contenders/contender.js'
import { comparisons, headlines, type OperationName } from '../operations.js'
import type { Results } from '../results.js'
import { advantages, callersOf, middle, select } from './selection.js'
import { environmentOf, ratioOf } from './words.js'

const readme = new URL('../../README.md', import.meta.url)
const section = /(?<=<!-- bench: .*?-->\n).*?(?=<!-- \/bench -->)/s

const peers: readonly ContenderName[] = ['go-go-scope', 'verrou', 'keyv', 'bentocache']

/** Writes the figures between the README's markers. */
export async function writeFigures(results: Results): Promise<void> {
  const text = await readFile(readme, 'utf8')
  await writeFile(
    readme,
    text.replace(section, () => figuresOf(results)),
  )
}

/** Whether the README has the figures of these results. */
export async function hasFigures(results: Results): Promise<boolean> {
  const text = await readFile(readme, 'utf8')
  return section.exec(text)?.[0] === figuresOf(results)
}

function figuresOf(results: Results): string {
  const levels = callersOf(results)
  return [
    '',
    'Throughput as a share of that of the cheapest bare mysql2 statement for the same job, by the number of concurrent',
    'callers: the median of all servers, and in parentheses the lowest and the highest server.',
    '',
    markdownTable(
      [
        ['', ...levels.map(String), 'Round trips', 'Client CPU, µs'],
        ...headlines.map((operation) => [
          `\`${operation}\``,
          ...levels.map((callers) => shareOf(results, operation, callers)),
          ...costOf(results, operation),
        ]),
      ],
      { align: ['l', ...levels.map(() => 'r'), 'r', 'r'] },
    ),
    '',
    `Times the throughput of others for the same job, with ${levels[0]} and with ${levels.at(-1)} callers, median of all servers:`,
    '',
    markdownTable(
      [
        ['', ...peers],
        ...comparisons.map((operation) => [
          `\`${operation}\``,
          ...peers.map((peer) => comparisonOf(results, operation, peer)),
        ]),
      ],
      { align: ['l', ...peers.map(() => 'r')] },
    ),
    '',
    '![Throughput against the number of concurrent callers](bench/throughput.svg)',
    '',
    environmentOf(results),
    '',
  ].join('\n')
}

function shareOf(results: Results, operation: OperationName, callers: number): string {
  const shares = select(results, operation, OURS, callers).flatMap(({ ratio }) =>
    ratio === undefined ? [] : [ratio.median],
  )
  return `${ratioOf(middle(shares))} (${ratioOf(Math.min(...shares))}–${ratioOf(Math.max(...shares))})`
}

function costOf(results: Results, operation: OperationName): string[] {
  const callers = callersOf(results).at(-1) ?? 1
  const own = select(results, operation, OURS, callers)
  const floor = select(results, operation, 'mysql2', callers)
  const trips = Math.round(Math.max(...own.map(({ roundTrips }) => roundTrips)))
  return [
    String(trips),
    `${Math.round(middle(own.map(({ cpu }) => cpu)))} (mysql2 ${Math.round(middle(floor.map(({ cpu }) => cpu)))})`,
  ]
}

function comparisonOf(results: Results, operation: OperationName, peer: ContenderName): string {
  const levels = callersOf(results)
  const [fewest = 1, most = 1] = [levels[0], levels.at(-1)]
  if (select(results, operation, peer, most).length === 0) return ''
  const times = [fewest, most].map((callers) => {
    const ratios = advantages(results, operation, peer, callers)
    return ratios.length === 0 ? '–' : `${ratioOf(middle(ratios))}×`
  })
  return [[...new Set(times)].join(', '), faultsOf(results, operation, peer)].filter((part) => part !== '').join('; ')
}

/** What went wrong with the most callers, in per cent. */
function faultsOf(results: Results, operation: OperationName, peer: ContenderName): string {
  const measured = select(results, operation, peer, callersOf(results).at(-1) ?? 1)
  const [errors, wrong] = [
    middle(measured.map((measurement) => measurement.errors / 10)),
    middle(measured.map((measurement) => measurement.wrong / 10)),
  ]
  return [
    errors >= 0.05 ? `${ratioOf(errors)} % fail` : '',
    wrong >= 0.05 ? `${ratioOf(wrong)} % ${operation.startsWith('recordFailure') ? 'are lost' : 'are wrong'}` : '',
  ]
    .filter((part) => part !== '')
    .join(', ')
}
