/** What `ui/` takes from `@jupyterlab/ui-components`, without JupyterLab: the build puts this in its place. */
import { useMemo, type ReactElement } from 'react';

interface IconProps {
  readonly tag?: 'div' | 'span';
  readonly className?: string;
  readonly width?: string;
  readonly height?: string;
}

type Html = string | { toString(): string };

interface TrustedTypes {
  createPolicy(name: string, rules: { createHTML(text: string): string }): { createHTML(text: string): Html };
}

// The page's policy lets text become markup by ways with a name only; icons are constants of ours.
const { trustedTypes } = window as { readonly trustedTypes?: TrustedTypes };
const ours = trustedTypes?.createPolicy('caterva2', { createHTML: text => text });

/** An icon of our own, as SVG text; decoration, so it has no name. */
export class LabIcon {
  constructor({ name, svgstr }: { readonly name: string; readonly svgstr: string }) {
    this.name = name;
    this.react = ({ tag: Tag = 'div', className, width = '16px', height = '16px' }: IconProps): ReactElement => {
      const markup = useMemo(() => {
        const sized = svgstr.replace(/width="\d+" height="\d+"/, `width="${width}" height="${height}"`);
        // React gives it to the browser as it is, whatever its types say.
        return { __html: (ours?.createHTML(sized) ?? sized) as string };
      }, [width, height]);
      return <Tag className={className} aria-hidden dangerouslySetInnerHTML={markup} />;
    };
  }

  readonly name: string;
  readonly react: (props: IconProps) => ReactElement;
}

function icon(name: string, path: string): LabIcon {
  return new LabIcon({
    name: `caterva2:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16"><path class="jp-icon3" fill="#616161" d="${path}"/></svg>`
  });
}

export const caretDownIcon = icon('caret-down', 'M3.5 5.5h9L8 11z');
export const caretRightIcon = icon('caret-right', 'M5.5 3.5 11 8l-5.5 4.5z');
export const checkIcon = icon('check', 'M6.2 12.6 2 8.4l1.4-1.4 2.8 2.8L12.6 3.4 14 4.8z');
export const closeIcon = icon('close', 'M4.4 3 8 6.6 11.6 3 13 4.4 9.4 8l3.6 3.6-1.4 1.4L8 9.4 4.4 13 3 11.6 6.6 8 3 4.4z');
export const downloadIcon = icon('download', 'M7.2 1.5h1.6v6.3l2.3-2.3 1.1 1.1L8 10.8 3.8 6.6l1.1-1.1 2.3 2.3zM2.5 12.5h11V14h-11z');
export const searchIcon = icon(
  'search',
  'M6.5 1.5a5 5 0 0 1 4 8l4 4-1 1-4-4a5 5 0 1 1-3-9zm0 1.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z'
);
