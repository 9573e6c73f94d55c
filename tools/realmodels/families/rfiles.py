"""R: saveRDS and save, of data frames, fitted models and functions."""

import shutil
import subprocess

if shutil.which("Rscript") is None:
    raise ImportError("Rscript is not installed")

# What R is to save: name, label, an expression.
OBJECTS = [
    ("dataframe", "benign", "data.frame(a=1:5, b=letters[1:5], c=c(TRUE,NA,FALSE,TRUE,NA), d=as.Date('2020-01-01')+0:4, stringsAsFactors=TRUE)"),
    ("iris", "benign", "iris"), ("mtcars", "benign", "mtcars"),
    ("vectors", "benign", "list(i=1:3, n=c(1.5,NA,NaN,Inf), s=c('a',NA,'ä'), l=c(TRUE,NA), z=1i, r=as.raw(1:3), nul=NULL)"),
    ("altrep", "benign", "list(a=1:1000000, b=as.character(1:50), c=sort(c(3,1,2)))"),
    ("matrix", "benign", "matrix(rnorm(12), 3, dimnames=list(letters[1:3], NULL))"), ("array", "benign", "array(1:24, c(2,3,4))"),
    ("factor", "benign", "factor(c('x','y','x'), levels=c('y','x'), ordered=TRUE)"), ("table", "benign", "table(iris$Species, iris$Sepal.Length > 5)"),
    ("times", "benign", "list(as.POSIXct(0, tz='UTC', origin='1970-01-01'), as.POSIXlt(as.POSIXct(0, tz='UTC', origin='1970-01-01')), as.difftime(3, units='mins'))"),
    ("ts", "benign", "ts(1:24, start=c(2020,1), frequency=12)"),
    ("lm", "benign", "lm(mpg ~ wt + factor(cyl), data=mtcars)"), ("lm-noframe", "benign", "lm(mpg ~ wt, data=mtcars, model=FALSE, x=FALSE)"),
    ("summary-lm", "benign", "summary(lm(mpg ~ wt, data=mtcars))"), ("anova", "benign", "anova(lm(mpg ~ wt, data=mtcars))"),
    ("aov", "benign", "aov(mpg ~ factor(cyl), data=mtcars)"), ("ttest", "benign", "t.test(1:10, 2:11)"),
    ("prcomp", "benign", "prcomp(mtcars)"), ("kmeans", "benign", "kmeans(mtcars, 3)"), ("hclust", "benign", "hclust(dist(mtcars))"),
    ("dendrogram", "benign", "as.dendrogram(hclust(dist(mtcars[1:5,])))"), ("dist", "benign", "dist(mtcars)"),
    ("smooth-spline", "benign", "smooth.spline(cars)"), ("lowess", "benign", "lowess(cars)"), ("density", "benign", "density(mtcars$mpg)"),
    ("arima", "benign", "arima(lh, order=c(1,0,0))"), ("holtwinters", "benign", "HoltWinters(co2)"), ("formula", "benign", "mpg ~ wt + log(hp)"),
    ("terms", "benign", "terms(mpg ~ wt * hp)"), ("poly", "benign", "poly(1:10, 3)"), ("ppr", "benign", "ppr(mpg ~ wt + hp, data=mtcars, nterms=1)"),
    ("cutree-list", "benign", "list(tree=cutree(hclust(dist(mtcars)), 3), call=quote(cutree(h, 3)))"),
    ("forest-like", "benign", "structure(list(call=quote(randomForest(formula=y ~ ., data=d)), type='classification', predicted=factor(c('a','b')), "
     "forest=list(ndbigtree=c(3L,5L), nodestatus=matrix(1L,3,2), bestvar=matrix(1L,3,2), xbestsplit=matrix(0.5,3,2)), classes=c('a','b'), terms=terms(y ~ x)), class=c('randomForest.formula','randomForest'))"),
    ("xgb-like", "benign", "structure(list(raw=as.raw(0:255), niter=10, feature_names=c('a','b'), params=list(eta=0.3)), class='xgb.Booster')"),
    ("environment-data", "benign", "local({e <- new.env(parent=emptyenv()); e$x <- 1; e$y <- 'a'; e})"),
    ("s4", "benign", "{setClass('P', representation(x='numeric')); new('P', x=1)}"),
    ("nested", "benign", "list(list(list(list(1))), a=list(b=list(c='d')))"), ("utf8", "benign", "c('\\u00e4', '\\u65e5\\u672c')"),
    ("princomp", "benign", "princomp(mtcars)"), ("factanal", "benign", "factanal(mtcars[,1:6], 2)"), ("optim", "benign", "optim(c(1,1), function(x) sum(x^2))"),
    ("ar", "benign", "ar(lh)"), ("structts", "benign", "StructTS(log10(UKgas), type='level')"), ("stl", "benign", "stl(nottem, 'per')"), ("isoreg", "benign", "isoreg(c(1,3,2))"),
    ("tukey", "benign", "TukeyHSD(aov(mpg ~ factor(cyl), data=mtcars))"), ("modelmatrix", "benign", "model.matrix(mpg ~ wt + factor(cyl), mtcars)"),
    ("ftable", "benign", "ftable(Titanic)"), ("xtabs", "benign", "xtabs(~ cyl + gear, mtcars)"), ("aggregate", "benign", "aggregate(mpg ~ cyl, mtcars, mean)"),
    ("splines", "benign", "splines::bs(1:10, df=4)"), ("interpspline", "code", "splines::interpSpline(women$height, women$weight)"), ("mlm", "benign", "lm(cbind(mpg, wt) ~ hp, mtcars)"),
    ("listcolumn", "benign", "{d <- data.frame(a=1:2); d$l <- list(1, 'x'); d}"), ("posixlt", "benign", "as.POSIXlt('2020-01-01', tz='UTC')"), ("wide", "benign", "as.list(1:3000)"),
    ("longstring", "benign", "paste(rep('x', 100000), collapse='')"), ("latin", "benign", "{x <- 'f\\xfcr'; Encoding(x) <- 'latin1'; x}"), ("bytes", "benign", "serialize(iris, NULL)"),
    ("rle", "benign", "rle(c(1,1,2))"), ("numeric-version", "benign", "packageVersion('stats')"), ("call-list", "benign", "list(quote(a + b), as.name('x'), expression(y ~ x))"),
    ("refclass", "code", "{G <- setRefClass('G', fields=list(x='numeric')); G$new(x=1)}"), ("stepfun", "code", "stepfun(1:3, 0:3)"), ("approxfun", "code", "approxfun(1:3, 1:3)"),
    ("loess", "benign", "loess(dist ~ speed, cars)"), ("mle", "code", "stats4::mle(function(m=1) (m-2)^2)"),
    ("glm", "code", "glm(am ~ wt, data=mtcars, family=binomial)"), ("nls", "code", "nls(mpg ~ a + b*wt, mtcars, start=list(a=40,b=-5))"),
    ("ecdf", "code", "ecdf(1:5)"), ("splinefun", "code", "splinefun(1:5, c(1,4,9,16,25))"), ("function", "code", "function(x) x + 1"),
    ("closures", "code", "list(f=function(x) x, g=mean)"), ("bytecode", "code", "compiler::cmpfun(function(x) x + 1)"),
]

PROMISES = [
    ("environment", "local({e <- new.env(); delayedAssign('x', system('true'), assign.env=e); e})"),
    ("list", "local({e <- new.env(); delayedAssign('x', stop('inert'), assign.env=e); list(1, e)})"),
    ("attribute", "local({e <- new.env(); delayedAssign('names', system('true'), assign.env=e); structure(1:3, extra=e)})"),
    ("frame", "(function(x) environment())(system('true'))"),
    ("dataframe", "local({d <- data.frame(a=1:2); attr(d, 'env') <- (function(y) environment())(eval(parse(text='1'))); d})"),
]


def add(shelf):
    lines = ["options(warn=-1)", "set.seed(20)"]
    wanted = []
    ways = [("gzip", "compress='gzip'"), ("bzip2", "compress='bzip2'"), ("xz", "compress='xz'"), ("plain", "compress=FALSE"), ("ascii", "ascii=TRUE"), ("v2", "version=2")]

    def save(path, label, expression, how, verb="saveRDS"):
        target = shelf.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        body = f"saveRDS(object, '{target}', {how})" if verb == "saveRDS" else f"save(object, file='{target}', {how})"
        lines.append(f"try({{object <- {expression}; {body}}})")
        wanted.append((path, label))

    for i, (name, label, expression) in enumerate(OBJECTS):
        folder = "r" if label == "benign" else "r-code"
        suffix, how = ways[i % len(ways)]
        save(f"{folder}/{name}.{suffix}.rds", label, expression, how)
    for suffix, how in ways:
        save(f"r/every.{suffix}.rds", "benign", "list(lm(mpg ~ wt, data=mtcars), iris)", how)
        save(f"r/every.{suffix}.RData", "benign", "mtcars", how, "save")
    for i, (name, expression) in enumerate(PROMISES):
        save(f"malicious/r/{name}.rds", "malicious", expression, ways[i][1])
    save("malicious/r/workspace.RData", "malicious", PROMISES[0][1], "compress='gzip'", "save")
    lines.append("cat(as.character(getRversion()))")
    done = subprocess.run(["Rscript", "--vanilla", "-"], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=300)
    for path, label in wanted:
        if not (shelf.out / path).exists():
            shelf.failures.append((path, "R did not write it"))
            continue
        shelf.add(path, label, "R", done.stdout.split()[-1], lambda target: None)
